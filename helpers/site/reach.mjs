// Names the handles of sliders to those who hear them, and lets the tab key pass over plots, which no key moves.
const every = (root, query) => [
  ...root.querySelectorAll(query),
  ...Array.from(root.querySelectorAll("*")).flatMap((part) => part.shadowRoot ? every(part.shadowRoot, query) : []),
]

export default () => {
  for (const handle of every(document, ".noUi-handle")) {
    const [title] = handle.getRootNode().querySelector(".bk-slider-title").textContent.split(":")
    handle.setAttribute("aria-label", title)
  }
  for (const plot of every(document, ".bk-events")) plot.tabIndex = -1
}
