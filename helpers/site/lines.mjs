// Shows the lines whose boxes are ticked, in every plot.
export default ({boxes, lines}) => lines.forEach((same, i) => {
  for (const line of same) line.visible = boxes.active.includes(i)
})
