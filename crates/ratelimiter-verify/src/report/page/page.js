const tip = document.getElementById("tip");
const show = (event) => {
  const text = event.target.dataset && event.target.dataset.t;
  tip.textContent = text || "";
  if (!text) return;
  tip.style.left = Math.max(4, Math.min(event.clientX, innerWidth - tip.offsetWidth - 4)) + "px";
  tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
};
addEventListener("pointerover", show);
addEventListener("pointerdown", show);
const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.violated,details.undecided")) one.open = true;
});
