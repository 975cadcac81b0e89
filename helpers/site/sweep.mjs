// The loop that the model generates with the chosen channel at the slider's value.
export default ({select, sweep, lines, note, values, generated, scale, zero, steps, channels, labels, count, ranges}) => {
  const chosen = Number(select.value), size = steps * channels
  const first = (chosen * count + sweep.value) * size
  const data = {...lines.data}
  for (let c = 0; c < channels; c++) {
    const loop = Array.from({length: steps}, (_, s) => zero[c] + scale[c] * generated[first + s * channels + c])
    data[`generated_${c}`] = [...loop, loop[0]]
  }
  lines.data = data
  ranges.forEach((range, c) => {
    const every = generated.slice(chosen * count * size, (chosen + 1) * count * size).filter((_, i) => i % channels == c)
    const low = zero[c] + scale[c] * Math.min(...every), high = zero[c] + scale[c] * Math.max(...every)
    range.setv({start: low - 0.05 * (high - low), end: high + 0.05 * (high - low)})
  })
  const value = values[chosen * count + sweep.value].toPrecision(3).replace("-", "−")
  note.text = `<b style="white-space: nowrap">${labels[chosen]} = ${value}</b>`
}
