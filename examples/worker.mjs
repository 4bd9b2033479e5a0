// A worker in JavaScript, for Node.js 18 or newer; nothing is installed.
//
//   RAYTUNE_HPO_TOKEN=... node worker.mjs http://127.0.0.1:8270 STUDY
//
// It reports at each step, stops where it is told to, and sends heartbeats meanwhile.
const [url, study] = process.argv.slice(2);
const api = `${url}/v1/studies/${encodeURIComponent(study)}`;
const worker = `js-${process.pid}`;
const headers = { Authorization: `Bearer ${process.env.RAYTUNE_HPO_TOKEN}`, "Content-Type": "application/json" };

// Every message may be repeated, so a lost connection or a busy service is waited for.
async function call(method, path, body) {
  for (let pause = 200; ; pause = Math.min(2 * pause, 5000)) {
    try {
      const answer = await fetch(`${api}/${path}`, { method, headers, body: JSON.stringify(body) });
      if (answer.status !== 503 && answer.status !== 429) {
        return { status: answer.status, ...(await answer.json()) };
      }
    } catch (error) {
      console.error(`no answer: ${error.message}`);
    }
    await new Promise((go) => setTimeout(go, pause));
  }
}

async function run(trial) {
  const { number, config } = trial;
  let attempt = trial.attempt;
  for (let step = 1; step <= 3; step++) {
    const loss = (config.x - 3) ** 2 + 1 / step;
    const heard = await call("POST", `trials/${number}/reports`, { attempt, reports: [{ step, metrics: { loss } }] });
    attempt = heard.attempt ?? attempt;
    if (heard.verdict === "pause" || heard.verdict === "complete") return; // it has ended with this report
    if (heard.verdict === "stop") {
      await call("PUT", `trials/${number}/result`, { attempt, status: "pruned" });
      return;
    }
  }
  await call("PUT", `trials/${number}/result`, { attempt, metrics: {} }); // the last report is the result
}

for (;;) {
  const given = await call("POST", "leases", { worker, wait_s: 10 });
  if (given.status >= 400) throw new Error(given.detail);
  if (given.over) break;
  const alive = setInterval(() => call("PUT", `leases/${given.lease}`, {}), 1000 * given.heartbeat_s);
  for (const trial of given.assignments) {
    try {
      await run(trial);
      console.log(`trial ${trial.number}: done`);
    } catch (error) {
      await call("PUT", `trials/${trial.number}/result`, { attempt: trial.attempt, status: "failed", error: error.stack });
    }
  }
  clearInterval(alive);
}
