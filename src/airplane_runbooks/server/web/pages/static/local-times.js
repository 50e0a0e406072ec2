// Shows the times of a page in the zone of its reader. The page is whole without it: its times are in UTC.
"use strict";

const parts = new Intl.DateTimeFormat("en-US", {
  calendar: "gregory", numberingSystem: "latn", hourCycle: "h23", timeZoneName: "shortOffset",
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

function local(moment) {
  const of = Object.fromEntries(parts.formatToParts(moment).map(({ type, value }) => [type, value]));
  const zone = of.timeZoneName.replace("GMT", "UTC").replace(/\+0$/, "");
  return `${of.year}-${of.month}-${of.day} ${of.hour}:${of.minute}:${of.second} ${zone}`;
}

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = time.textContent;
  time.textContent = local(new Date(time.dateTime));
}
