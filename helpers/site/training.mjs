// Maps of every channel at one snapshot of the training.
export default ({slider, image, captions, note, maps, scale, cells, pixels, names, kl, titles}) => {
  const drawn = image.data.values
  names.forEach((_, c) => {
    const first = (slider.value * names.length + c) * pixels
    for (let i = 0; i < drawn[c].length; i++) {
      const value = cells[i] < 0 ? -128 : maps[first + cells[i]]
      drawn[c][i] = value == -128 ? NaN : scale * value
    }
  })
  image.change.emit()
  captions.data = {...captions.data, text: names.map((name, c) => `${name}, ${kl[slider.value][c].toFixed(1)} nat`)}
  note.text = titles[slider.value]
}
