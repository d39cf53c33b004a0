// Draws the figures that waited for plotly.js, keeps them as wide as their place, and makes their controls, which
// Plotly makes for the mouse only, reachable by keyboard and screen reader.
"use strict";

const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5};

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** Make a group of the drawing a control; it is told of each key, and answers whether it knew it. */
function control(element, attributes, press) {
  set(element, attributes);
  if (element.onkeydown) return;
  element.tabIndex = 0;
  element.onkeydown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !press(event.key)) return;
    event.preventDefault();
  };
}

const button = (click) => (key) => {
  if (key !== "Enter" && key !== " ") return false;
  click();
  return true;
};

/** Move a slider to a step, and do what the step says. */
async function move(place, number, step) {
  const {method, args} = place.layout.sliders[number].steps[step];
  await Plotly.relayout(place, `sliders[${number}].active`, step);
  await Plotly[method](place, ...args);
}

function nameSliders(place) {
  place.querySelectorAll(".slider-group").forEach((group, number) => {
    const {steps, active = 0, currentvalue} = place.layout.sliders[number];
    const state = {
      role: "slider",
      "aria-label": (currentvalue?.prefix ?? "view").replace(/:?\s*$/, ""),
      "aria-valuemin": 1,
      "aria-valuemax": steps.length,
      "aria-valuenow": active + 1,
      "aria-valuetext": steps[active].label,
    };
    control(group, state, (key) => {
      const last = steps.length - 1;
      const now = place.layout.sliders[number].active ?? 0;
      const to = {Home: 0, End: last}[key] ?? Math.min(last, Math.max(0, now + STEPS[key]));
      if (Number.isNaN(to)) return false;
      if (to !== now) move(place, number, to);
      return true;
    });
  });
}

function nameButtons(place) {
  place.querySelectorAll(".updatemenu-container").forEach((menu, number) => {
    set(menu, {role: "group", "aria-label": "What is drawn"});
    menu.querySelectorAll(".updatemenu-button").forEach((element, i) => {
      const active = place.layout.updatemenus[number].active ?? 0;
      const click = () => element.dispatchEvent(new MouseEvent("click"));
      const label = element.textContent;
      control(element, {role: "button", "aria-label": label, "aria-pressed": active === i}, button(click));
    });
  });
}

/** In the legend, what is drawn can be left out. */
function nameLegend(place) {
  for (const legend of place.querySelectorAll(".legend")) {
    set(legend, {role: "group", "aria-label": "Legend"});
    for (const entry of legend.querySelectorAll(".traces")) {
      const click = () => {
        const target = entry.querySelector(".legendtoggle");
        for (const type of ["mousedown", "mouseup"]) target.dispatchEvent(new MouseEvent(type));
      };
      const shown = Number(entry.style.opacity || 1) === 1;
      control(entry, {role: "checkbox", "aria-label": entry.textContent, "aria-checked": shown}, button(click));
    }
  }
}

/** The drawing is one image with the figure's alt text; what stands over it is either a control or said in the text. */
function nameDrawing(place, alt) {
  const [drawing, , hover] = place.querySelectorAll(".main-svg");
  if (alt) set(drawing, {role: "img", "aria-label": alt});
  const titles = place.querySelectorAll(".infolayer > :not(.legend, .slider-container)");
  for (const said of [hover, ...titles]) set(said, {"aria-hidden": true});
}

/** On a telephone the title of the horizontal axis is set smaller, where it would be cut off. */
function fitTitles(place) {
  const {left, right} = place.getBoundingClientRect();
  for (const title of place.querySelectorAll(".xtitle")) {
    const box = title.getBoundingClientRect();
    const middle = (box.left + box.right) / 2;
    const fits = (2 * Math.min(middle - left, right - middle)) / box.width;
    if (fits < 1) title.style.fontSize = `${parseFloat(title.style.fontSize) * fits}px`;
  }
}

function makeReachable(place, alt) {
  nameDrawing(place, alt);
  nameSliders(place);
  nameButtons(place);
  nameLegend(place);
}

for (const [call, drawn] of window.waitingFigures.splice(0)) {
  const [name, data, layout, config] = call;
  // A finger that crosses a figure scrolls the page; it does not zoom. So no tools for it cover the buttons.
  if (matchMedia("(pointer: coarse)").matches) {
    layout.dragmode = false;
    config.displayModeBar = false;
  }
  const place = document.getElementById(name);
  const figure = place.closest("figure");
  const alt = figure?.getAttribute("aria-label");
  figure?.removeAttribute("aria-label"); // it goes to the drawing, and is not read twice
  Plotly.newPlot(place, data, layout, config).then((plot) => {
    const mend = () => (makeReachable(place, alt), fitTitles(place));
    mend();
    place.on("plotly_afterplot", mend); // Plotly may have drawn a control anew
    drawn(plot);
    // A figure drawn inside something folded has no width until it is opened.
    new ResizeObserver(() => place.clientWidth && Plotly.Plots.resize(place)).observe(place);
  });
}
