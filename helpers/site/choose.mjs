// Moves the row and column sliders to the pixel under a point of the map.
export default ({row, column, cells, cell, width, stride, columns}, point) => {
  const across = Math.floor(point.x / cell), up = Math.floor(point.y / cell)
  if (across < 0 || across >= width || up < 0 || up >= cells.length / width) return
  const pixel = cells[up * width + across]
  if (pixel < 0) return
  row.value = stride * Math.floor(pixel / columns)
  column.value = stride * (pixel % columns)
}
