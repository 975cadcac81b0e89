// Draws the chosen embedding channel and says what its slider sweeps.
export default ({select, image, colours, bar, cells, maps, halves, quantities}) => {
  const chosen = Number(select.value)
  const pixels = maps.length / halves.length
  const drawn = image.data.values[0]
  for (let i = 0; i < drawn.length; i++) drawn[i] = cells[i] < 0 ? NaN : maps[chosen * pixels + cells[i]]
  image.change.emit()
  colours.setv({low: -halves[chosen], high: halves[chosen]})
  const ends = [`−${halves[chosen].toPrecision(3)}`, quantities[chosen], halves[chosen].toPrecision(3)]
  let part = 0
  bar.text = bar.text.replace(/(?<=<span>)[^<]*/g, () => ends[part++])
}
