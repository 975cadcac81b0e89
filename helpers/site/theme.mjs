// Text and lines of the plots follow the colours that the reader's system prefers.
export default ({axes, grids, legends, texts, bars, inks, strong}) => {
  const preference = matchMedia("(prefers-color-scheme: dark)")
  const paint = () => {
    const ink = preference.matches ? "#e6e6e6" : "#262626"
    for (const axis of axes) {
      axis.setv({axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink,
                 major_tick_line_color: ink, minor_tick_line_color: null})
    }
    for (const grid of grids) grid.grid_line_color = preference.matches ? "#3d434a" : "#dddddd"
    for (const legend of legends) legend.label_text_color = ink
    const ground = preference.matches ? "#14171a" : "#ffffff"
    for (const bar of bars) bar.setv({label_text_color: ink, background_fill_color: ground})
    for (const text of texts) text.text_color = ink
    for (const glyph of inks) glyph.setv("fill_color" in glyph ? {line_color: ink, fill_color: ink} : {line_color: ink})
    for (const glyph of strong) glyph.line_color = preference.matches ? "#56b4e9" : "#0072b2"
  }
  preference.addEventListener("change", paint)
  paint()
}
