// Holds manifests against the schemas of Kubernetes and of the Prometheus operator, as npm's kubernetes-models has them.
//
//   node check_manifests.js NODE_MODULES <MANIFESTS.json
//
// MANIFESTS.json maps the name of a scenario to a list of objects. Two looks at each: its own validation (what is required,
// which types), and TypeScript's at the same object as a literal, which refuses fields that there are not. Prints one
// line a fault; exit code 1 where there is one.
const fs = require("fs");
const os = require("os");
const path = require("path");

const modules = path.resolve(process.argv[2]);
const scenarios = JSON.parse(fs.readFileSync(0, "utf8"));
const load = (name) => require(path.join(modules, name));
const ts = load("typescript");

function packageOf(object) {
  const group = object.apiVersion.split("/")[0];
  return group.endsWith("coreos.com") ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
}

const faults = [];
const lines = [];
const owners = []; // by line: which object it is of
for (const [scenario, objects] of Object.entries(scenarios)) {
  objects.forEach((object) => {
    const name = `${scenario}: ${object.kind} ${object.metadata.name}`;
    const module_ = `${packageOf(object)}/${object.apiVersion}/${object.kind}`;
    let model;
    try {
      model = load(module_)[object.kind];
    } catch (error) {
      faults.push(`${name}: no schema for ${object.apiVersion} ${object.kind}`);
      return;
    }
    try {
      new model(object).validate();
    } catch (error) {
      faults.push(`${name}: ${error.message}`);
    }
    const text = JSON.stringify(object, null, 1).split("\n");
    lines.push(`export const o${owners.length}: import(${JSON.stringify(module_)}).I${object.kind} =`, ...text);
    while (owners.length < lines.length) owners.push(name);
  });
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-chart-"));
try {
  fs.symlinkSync(modules, path.join(folder, "node_modules"));
  const file = path.join(folder, "manifests.ts");
  fs.writeFileSync(file, lines.join("\n"));
  const program = ts.createProgram([file], {
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    types: [],
  });
  for (const found of ts.getPreEmitDiagnostics(program)) {
    const place = found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : 0;
    const message = ts.flattenDiagnosticMessageText(found.messageText, " ");
    faults.push(`${owners[place]}: at ${(lines[place] || "").trim()}: ${message}`);
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}

console.log(faults.length ? faults.join("\n") : `${lines.length} lines of manifests fit`);
process.exit(faults.length ? 1 : 0);
