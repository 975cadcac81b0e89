// The loop explorer: a map of the scan, the loops of the chosen pixel, generated loops, maps through the training.
const WIDTH = 420, HEIGHT = 240, LEFT = 66, BOTTOM = 44  // of a plot, and room for its labels
const MOVES = {ArrowLeft: ["column", -1], ArrowRight: ["column", 1], ArrowUp: ["row", -1], ArrowDown: ["row", 1]}
const at = (id) => document.getElementById(id)

/** The same value with its arrays unpacked. */
async function unpacked(value) {
  if (typeof value != "object" || value === null || Array.isArray(value)) return value
  if (value.kind) {
    const bytes = Uint8Array.from(atob(value.bytes), (letter) => letter.charCodeAt(0))
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
    return new globalThis[value.kind](await new Response(stream).arrayBuffer())
  }
  return Object.fromEntries(await Promise.all(
    Object.entries(value).map(async ([name, part]) => [name, await unpacked(part)])))
}

const run = await unpacked(EXPLORER)
const {channels, models, stride} = run, [rows, columns] = run.shape, pixels = rows * columns
const steps = run.voltage.length, size = steps * channels.length
const colours = run.palette.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)))
const rounded = (value) => Number(value.toPrecision(3)).toString().replace("-", "−")

/** One channel of the loop at a place among packed ones, with its first point again at its end. */
function loop({changes, scale, zero}, place, channel) {
  let level = 0
  const values = Array.from({length: steps}, (_, s) =>
    zero[channel] + scale[channel] * (level += changes[place * size + s * channels.length + channel]))
  return [...values, values[0]]
}

/** Paints a map: values by pixel, on grey where a pixel has none, clear outside the scan. */
function paint(canvas, {pixel, width}, valueOf, half) {
  const image = new ImageData(width, pixel.length / width)
  const grey = [1, 3, 5].map((i) => parseInt(run.grey.slice(i, i + 2), 16))
  pixel.forEach((index, i) => {
    if (index < 0) return
    const value = valueOf(index)
    const shade = Math.max(0, Math.min(255, Math.floor(128 * (1 + value / half))))
    image.data.set([...(Number.isNaN(value) ? grey : colours[shade]), 255], 4 * i)
  })
  Object.assign(canvas, {width: image.width, height: image.height})
  canvas.getContext("2d").putImageData(image, 0, 0)
}

/** A bar of the colours between the ends of their scale. */
function shadeBar(place, half, quantity) {
  const shades = run.palette.filter((_, i) => i % 15 == 0).join(", ")
  place.innerHTML = `<i style="background: linear-gradient(to right, ${shades})"></i>` +
    `<span>−${rounded(half)}</span><span>${quantity}</span><span>${rounded(half)}</span>`
}

/** About four round numbers within a range. */
function ticks([low, high]) {
  const raw = (high - low) / 4, decade = 10 ** Math.floor(Math.log10(raw))
  const step = decade * [1, 2, 5, 10].find((n) => n * decade >= raw)
  const count = Math.floor(high / step) - Math.ceil(low / step) + 1
  return Array.from({length: count}, (_, i) => Number(((Math.ceil(low / step) + i) * step).toPrecision(12)))
}

const spread = (values) => {
  const known = values.filter(Number.isFinite), low = Math.min(...known), high = Math.max(...known)
  const room = 0.05 * (high - low) || 1
  return known.length ? [low - room, high + room] : [-1, 1]
}

/** Draws lines against the voltage; `lines` are {name, colour, values, dots}. */
function plot(place, label, lines, range) {
  const voltage = [...run.voltage, run.voltage[0]], across = spread(voltage)
  const x = (value) => LEFT + (value - across[0]) / (across[1] - across[0]) * (WIDTH - LEFT - 8)
  const y = (value) => 8 + (range[1] - value) / (range[1] - range[0]) * (HEIGHT - BOTTOM - 8)
  const text = (value) => value.toString().replace("-", "−")
  const word = (text, place) => `<text ${place}>${text}</text>`, foot = HEIGHT - BOTTOM
  const grid = [
    ...ticks(across).map((v) => `<path d="M${x(v)} 8V${foot}"/>` +
      word(text(v), `x="${x(v)}" y="${foot + 16}" text-anchor="middle"`)),
    ...ticks(range).map((v) => `<path d="M${LEFT} ${y(v)}H${WIDTH - 8}"/>` +
      word(text(v), `x="${LEFT - 6}" y="${y(v) + 4}" text-anchor="end"`)),
    word("Voltage (V)", `x="${(WIDTH + LEFT) / 2}" y="${HEIGHT - 6}" text-anchor="middle"`),
    word(label, `transform="translate(13 ${foot / 2}) rotate(-90)" text-anchor="middle"`),
  ]
  const drawn = lines.filter(({values}) => values.every(Number.isFinite)).map(({name, colour, values, dots}) => {
    const points = values.map((value, i) => [x(voltage[i]).toFixed(1), y(value).toFixed(1)])
    const circles = dots ? points.map(([a, b]) => `<circle cx="${a}" cy="${b}" r="2"/>`).join("") : ""
    return `<g class="line" data-model="${name}" style="--line: ${colour}">` +
      `<path d="M${points.join("L")}"/>${circles}</g>`
  })
  place.innerHTML = `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true">${grid.join("")}${drawn.join("")}</svg>`
}

const shown = () => models.filter((name) => document.querySelector(`#lines [value="${name}"]`).checked)

/** Loops of the pixel that the sliders name, and each model's error there. */
function showPixel() {
  const row = Number(at("row").value), column = Number(at("column").value)
  const pixel = (row / stride) * columns + column / stride, known = run.usable[pixel]
  const loops = models.map((_, m) => channels.map((_, c) => loop(run.loops, m * pixels + pixel, c)))
  channels.forEach((label, c) => {
    const lines = models.map((name, m) => ({name, colour: run.colours[m], values: loops[m][c], dots: m == 0}))
    const drawn = known ? lines.filter(({name}) => shown().includes(name)) : []
    plot(at(`loop${c}`), label, drawn, spread(known ? lines.flatMap(({values}) => values) : []))
  })
  const error = (loop) => channels.flatMap((_, c) => loop[c].slice(0, steps).map(
    (value, s) => ((value - loops[0][c][s]) / run.deviation[c]) ** 2)).reduce((a, b) => a + b) / size
  const errors = models.slice(1).map((name, m) => `<span>${name} ${rounded(error(loops[m + 1]))}</span>`)
  at("readout").innerHTML = `<b>Row ${row}, column ${column}.</b> ` +
    (known ? `Mean squared error (s.d.²): ${errors.join(", ")}` : "No usable loop was measured here.")
  const cells = Array.from(run.scan.pixel.keys()).filter((i) => run.scan.pixel[i] == pixel)
  const width = run.scan.width, height = run.scan.pixel.length / width
  const centre = (of) => cells.reduce((sum, i) => sum + of(i) + 0.5, 0) / cells.length
  at("marker").style.left = `${100 * centre((i) => i % width) / width}%`
  at("marker").style.top = `${100 * centre((i) => Math.floor(i / width)) / height}%`
  for (const name of ["row", "column"]) at(`${name}-value`).textContent = at(name).value
}

/** The map of the chosen channel, and the loop generated with that channel at the slider's value. */
function showChannel() {
  const chosen = Number(at("embedding").value), count = run.swept.length / run.names.length
  paint(at("map-canvas"), run.scan, (index) => run.maps[chosen * pixels + index], run.halves[chosen])
  shadeBar(at("colours"), run.halves[chosen], run.quantities[chosen])
  const index = chosen * count + Number(at("sweep").value)
  channels.forEach((label, c) => {
    const every = Array.from({length: count}, (_, i) => loop(run.generated, chosen * count + i, c)).flat()
    const line = {name: "generated", colour: run.colours[0], values: loop(run.generated, index, c), dots: true}
    plot(at(`generated${c}`), label, [line], spread(every))
  })
  at("swept").textContent = `${run.names[chosen]} = ${rounded(run.swept[index])}`
}

const training = () => run.trainings[at("training-of").value]

/** Places for the maps of the chosen training, and its last snapshot. */
function showTrainingOf() {
  const {names, titles, half, quantity} = training(), last = titles.length - 1
  Object.assign(at("training"), {min: 0, max: last, step: 1, value: last})
  at("training-maps").innerHTML = names.map((_, c) => `<figure><canvas id="training${c}"></canvas>` +
    `<meter min="0" aria-hidden="true"></meter><figcaption></figcaption></figure>`).join("")
  shadeBar(at("shades"), half, quantity)
  showTraining()
}

/** Maps and KL of every channel at the chosen snapshot of the training. */
function showTraining() {
  const {maps, half, names, kl, titles, scan} = training(), snapshot = Number(at("training").value)
  const area = maps.length / titles.length / names.length, most = Math.max(...kl.slice(kl.length >> 1).flat())
  names.forEach((name, c) => {
    const first = (snapshot * names.length + c) * area
    const value = (index) => maps[first + index] == -128 ? NaN : maps[first + index] * half / 100
    paint(at(`training${c}`), scan, value, half)
    const [meter, caption] = [...at(`training${c}`).parentElement.children].slice(1)
    Object.assign(meter, {max: most, value: kl[snapshot][c]})
    caption.textContent = `${name}, ${kl[snapshot][c].toFixed(1)} nat`
  })
  at("trained").textContent = titles[snapshot]
}

/** Moves the sliders to a pixel. */
function choose(row, column) {
  at("row").value = row
  at("column").value = column
  showPixel()
}

function prepare() {
  const count = run.swept.length / run.names.length
  const options = run.names.map((name, i) => `<option value="${i}">${name}</option>`)
  for (const [id, most, step] of [["row", rows - 1, stride], ["column", columns - 1, stride], ["sweep", count - 1, 1]]) {
    Object.assign(at(id), {min: 0, max: most * step, step, value: Math.floor((most + 1) / 2) * step})
  }
  for (const [one, other] of [["embedding", "channel"], ["channel", "embedding"]]) {
    at(one).innerHTML = options.join("")
    at(one).addEventListener("change", () => { at(other).value = at(one).value; showChannel() })
  }
  at("lines").innerHTML = models.map((name, m) =>
    `<label style="--line: ${run.colours[m]}"><input type="checkbox" value="${name}" checked>${name}</label>`).join("")
  at("lines").addEventListener("change", showPixel)
  at("training-of").innerHTML = Object.keys(run.trainings).map((name) => `<option>${name}</option>`).join("")
  if (run.scan.bar) {
    at("scale-bar").style.width = `${100 * run.scan.bar.share}%`
    at("scale-bar").textContent = run.scan.bar.um < 1 ? `${1000 * run.scan.bar.um} nm` : `${run.scan.bar.um} µm`
  }
  at("map").addEventListener("click", ({clientX, clientY}) => {
    const box = at("map-canvas").getBoundingClientRect(), {pixel, width} = run.scan
    const across = Math.floor((clientX - box.x) / box.width * width)
    const down = Math.floor((clientY - box.y) / box.height * pixel.length / width)
    const index = pixel[down * width + across] ?? -1
    if (index >= 0) choose(stride * Math.floor(index / columns), stride * (index % columns))
  })
  at("map").addEventListener("keydown", (event) => {
    if (!(event.key in MOVES)) return
    event.preventDefault()
    const [name, move] = MOVES[event.key]
    at(name)[move > 0 ? "stepUp" : "stepDown"]()
    showPixel()
  })
  for (const id of ["row", "column"]) at(id).addEventListener("input", showPixel)
  at("sweep").addEventListener("input", showChannel)
  at("training").addEventListener("input", showTraining)
  at("training-of").addEventListener("change", showTrainingOf)
}

prepare()
showPixel()
showChannel()
showTrainingOf()
document.body.dataset.ready = "yes"
