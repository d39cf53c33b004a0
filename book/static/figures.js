// Draws the figures that waited for plotly.js, and keeps them as wide as their place.
for (const [call, drawn] of window.waitingFigures.splice(0)) {
  const [name, data, layout, config] = call;
  // A finger that crosses a figure scrolls the page; it does not zoom.
  if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
  const place = document.getElementById(name);
  Plotly.newPlot(place, data, layout, config).then((figure) => {
    drawn(figure);
    // A figure drawn inside something folded has no width until it is opened.
    new ResizeObserver(() => place.clientWidth && Plotly.Plots.resize(place)).observe(place);
  });
}
