"use strict";
/* Without this script every panel is shown, one below the other, and every row. */
document.querySelectorAll("select[data-panels]").forEach(function (choice) {
  var name = choice.dataset.panels;
  var panels = Array.prototype.filter.call(document.querySelectorAll(".panel"), function (panel) {
    return panel.dataset.panel === name;
  });
  function show() {
    panels.forEach(function (panel, at) { panel.hidden = at !== Number(choice.value); });
  }
  choice.addEventListener("change", show);
  choice.closest(".filter").hidden = false;
  show();
});
document.querySelectorAll("input[data-search]").forEach(function (field) {
  var stem = field.dataset.search;
  var section = field.closest("section");
  var said = field.closest(".filter").querySelector("output");
  function rows() {
    return Array.prototype.filter.call(section.querySelectorAll("table[data-name]"), function (table) {
      return table.dataset.name === stem || stem.endsWith("*") && table.dataset.name.startsWith(stem.slice(0, -1));
    }).flatMap(function (table) { return Array.from(table.tBodies[0].rows); });
  }
  function leave() {
    var wanted = field.value.trim().toLocaleLowerCase(), left = 0;
    rows().forEach(function (row) {
      var fits = row.textContent.toLocaleLowerCase().includes(wanted);
      row.hidden = !fits;
      left += fits ? 1 : 0;
    });
    said.textContent = wanted ? String(left) : "";
  }
  field.addEventListener("input", leave);
  field.closest(".filter").hidden = false;
});
