// A program on top of the official JavaScript SDK: `client.js PACKAGE ACTION ARGUMENT...`, arguments in JSON.
"use strict";

const [name, action, ...encoded] = process.argv.slice(2);
const airplane = require(name);
const low = (options) => new (require(`${name}/internal/api/client`).Client)(options);

const actions = {
  execute: airplane.execute,
  executeBackground: airplane.executeBackground,
  executeRunbook: airplane.executeRunbook,
  executeRunbookBackground: airplane.executeRunbookBackground,
  getRun: (...given) => require(`${name}/api`).getRun(...given),
  getSession: (...given) => require(`${name}/api`).getSession(...given),
  getPrompt: (id) => low({}).getPrompt(id),
  dates: () => airplane.execute("typed", { day: new Date(2022, 1, 3), moment: new Date(Date.UTC(2022, 1, 3, 4, 5, 6)) }),
  sleep: () => low({}).createSleep({ durationMs: 1, until: "2022-02-03T04:05:06Z" }),
  // many calls with one key, all at the same time
  repeat: (slug, values, idempotencyKey, times) =>
    Promise.all(Array.from({ length: times }, () => low({}).executeRunbook(slug, values, { idempotencyKey }))),
};

actions[action](...encoded.map((one) => JSON.parse(one))).then(
  (result) => console.log(JSON.stringify({ result })),
  ({ name, message, statusCode, errorCode, attempt }) =>
    console.log(JSON.stringify({ name, message, statusCode, errorCode, attempt })),
);
