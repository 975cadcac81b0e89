// Arrow keys move the chosen pixel while the map has the focus.
const MOVES = {ArrowLeft: ["column", -1], ArrowRight: ["column", 1], ArrowUp: ["row", -1], ArrowDown: ["row", 1]}
addEventListener("DOMContentLoaded", () => {
  document.getElementById("map").addEventListener("keydown", (event) => {
    if (!(event.key in MOVES)) return
    event.preventDefault()
    const [name, move] = MOVES[event.key]
    const slider = Bokeh.documents[0].get_model_by_name(name)
    slider.value = Math.min(slider.end, Math.max(slider.start, slider.value + move * slider.step))
  })
})
