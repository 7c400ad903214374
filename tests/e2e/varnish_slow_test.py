"""Varnish from Debian's packages, with examples/varnish. Compiles its configuration with a C compiler, and so takes a while."""

import subprocess

import harness
from gateways import EveryGateway, GatewayTestCase, MayFailOpen, find_program


class VarnishTest(EveryGateway, MayFailOpen, GatewayTestCase):
    program = "varnishd"
    open_edits = [("#open: ", "")]
    upload_bytes = 1_000_000

    def serve(self, *more):
        config = self.example("varnish/default.vcl", [
            ("/run/sluice/check.sock", self.sluice.check_address[len("unix:"):]),
            ('"9000"', f'"{self.origin.port}"'), *more])
        self.run_gateway([find_program("varnishd"), "-F", "-n", self.folder / "varnish", "-a", f"127.0.0.1:{self.port}",
                          "-f", config, "-T", "none", "-S", "none", "-j", "none", "-s", "malloc,16m"])

    def test_hits_of_the_cache_are_asked_about_too(self):
        self.serve()
        for _ in range(3):
            self.assert_status(self.ask("/k"), 200)
        self.assertEqual(self.origin.paths, ["/k"])
        self.sluice.apply(harness.freeze("u1"))
        self.assert_status(self.ask("/k"), 403)

    def test_bodies_have_a_bound(self):
        self.serve()
        self.assert_status(self.ask("/up", method="PUT", body=b"x" * 1_000_001), 413)
        chunks = iter([b"x" * 1000])
        self.assert_status(self.ask("/up", method="PUT", body=chunks, headers={"Transfer-Encoding": "chunked"}), 413)
        self.assertEqual(self.origin.paths, [])

    def start_log(self):
        # As docs/gateways/varnish.md has it.
        page = (harness.SOURCE / "docs" / "gateways" / "varnish.md").read_text(encoding="utf-8")
        layout = page[page.index("-F '") + 4:page.index("'`, followed")]
        log = self.folder / "access.log"
        logger = subprocess.Popen([find_program("varnishncsa"), "-n", self.folder / "varnish", "-a", "-w", log, "-F", layout],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(logger.wait)
        self.addCleanup(logger.terminate)
        # It begins at the present end of the shared log: asked until it is there, and then from an empty file.
        harness.await_condition(lambda: self.ask("/warm").status == 200 and log.exists() and log.stat().st_size > 0,
                                "varnishncsa writes")
        return log

    def test_usage_comes_back_from_the_log(self):
        self.serve()
        self.check_usage_comes_back(self.start_log())

    def test_usage_is_not_forged(self):
        self.serve()
        self.check_usage_is_not_forged(self.start_log())


if __name__ == "__main__":
    harness.main()
