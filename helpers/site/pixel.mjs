// Measured loops of the pixel that the sliders name, and as each model writes them out.
export default (args) => {
  const {row, column, stride, columns, lines, place, readout, usable, x, y} = args
  const pixel = (row.value / stride) * columns + column.value / stride
  const found = loops(args, pixel)
  const known = usable[pixel]
  const data = {...lines.data}
  for (const [model, loop] of Object.entries(found)) {
    for (let c = 0; c < args.channels; c++) {
      const values = Array.from({length: args.steps}, (_, s) => known ? loop[s * args.channels + c] : NaN)
      data[`${model}_${c}`] = [...values, values[0]]
    }
  }
  lines.data = data
  place.data = {x: [x[pixel]], y: [y[pixel]]}
  const errors = Object.keys(found).filter((model) => model != "data")
    .map((model) => `<span style="white-space: nowrap">${model} ${error(args, found.data, found[model]).toPrecision(3)}</span>`)
  readout.text = `<b>Row ${row.value}, column ${column.value}.</b> ` +
    (known ? `Mean squared error (s.d.²): ${errors.join(", ")}` : "No usable loop was measured here.")
}

function loops({steps, channels, measured, measured_scale, measured_zero, vae, vae_scale, vae_zero,
                codes, atoms, offsets, starts, names}, pixel) {
  const size = steps * channels, pixels = measured.length / size
  const unpack = (cube, scale, zero) => Array.from(
    {length: size}, (_, i) => zero[i % channels] + scale[i % channels] * cube[pixel * size + i])
  const found = {data: unpack(measured, measured_scale, measured_zero)}
  names.forEach((name, model) => {
    const sum = Array.from(offsets.slice(model * size, (model + 1) * size))
    for (let k = starts[model]; k < starts[model + 1]; k++) {
      const code = codes[k * pixels + pixel]
      for (let i = 0; i < size; i++) sum[i] += code * atoms[k * size + i]
    }
    found[name] = sum
  })
  found["β-VAE"] = unpack(vae, vae_scale, vae_zero)
  return found
}

function error({channels, deviation}, data, loop) {
  const squares = data.map((value, i) => ((loop[i] - value) / deviation[i % channels]) ** 2)
  return squares.reduce((a, b) => a + b, 0) / squares.length
}
