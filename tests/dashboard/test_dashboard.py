"""The page in a real browser, served and as a file; and what its server will not do."""

import http.client
import json
import os
import random
import re
import shutil
import socket
import struct
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from learning_to_learn.commands import dashboard as command
from learning_to_learn.commands import sweep as sweeps
from learning_to_learn.commands import train
from learning_to_learn.dashboard import serve
from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import to_json, with_data
from learning_to_learn.dashboard.serve import Server
from learning_to_learn.errors import UserError
from learning_to_learn.results.markdown import to_html
from learning_to_learn.runs.run_folder import set_status, write_rows
from tests.commands.test_train import SMALL


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Six runs: two archs on two families, and one failed and one killed job."""
    folder = tmp_path_factory.mktemp("runs") / "sweep"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        train._main(["-m", "arch=lstm,elman", "family=boolean,semilinear", *SMALL, f"hydra.sweep.dir={folder}"])
    for name in ("4_lstm_boolean", "5_lstm_boolean"):
        shutil.copytree(folder / "0_lstm_boolean", folder / name)
    set_status(folder / "4_lstm_boolean", "failed", error="out of <b>memory</b>")
    set_status(folder / "5_lstm_boolean", "running")
    return folder


@pytest.fixture
def served(sweep):
    with Server(sweep, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def wait(page, expression):
    """Until it is true; Playwright's own `wait_for_function` evaluates text in the page, which the page's policy forbids."""
    deadline = time.monotonic() + 15
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def traces(page, plot):
    """How many lines there are, besides bands and what is pointed at."""
    return page.evaluate(f"document.getElementById('{plot}').data.filter((t) => !t.fill && t.x.length).length")


def test_the_page_shows_the_runs_and_a_filter_changes_what_is_shown(page, served):
    page.goto(served.url)
    page.wait_for_selector("#runs tbody tr")
    assert page.locator("#runs tbody tr").count() == 6
    assert page.locator("#matrix tbody tr").count() == 2
    assert "6 of 6 runs" in page.locator("#summary").inner_text()
    assert traces(page, "learning") == 4
    assert traces(page, "curves") == 4 + 2  # and the Bayes-optimal learner of each family
    page.select_option("select[name=family]", "semilinear")
    assert page.locator("#runs tbody tr").count() == 2
    assert traces(page, "learning") == 2
    assert traces(page, "curves") == 2 + 1
    page.select_option("select[name=arch]", "elman")
    assert traces(page, "learning") == 1
    assert page.locator("#matrix tbody tr").count() == 1


def test_a_runs_page_and_the_way_there_and_back_by_keyboard(page, served):
    page.goto(served.url)
    page.wait_for_selector("#runs tbody tr")
    page.locator("#runs a", has_text="0_lstm_boolean").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#one-curve .main-svg")
    assert traces(page, "one-curve") == 4
    assert traces(page, "one-stream") == 2
    assert "arch.gradient: truncated" in page.locator("pre").inner_text()
    links = page.locator("ul.files a")
    names = links.all_inner_texts()
    assert {"config.yaml", "checkpoints/last.ckpt", "stream.csv"} <= set(names)
    answer = page.request.get(served.url + links.nth(names.index("config.yaml")).get_attribute("href"))
    assert answer.text() == (served.folder / "0_lstm_boolean/config.yaml").read_text()
    assert page.locator("figure img").count() == 2
    page.locator("figure img").first.scroll_into_view_if_needed()
    wait(page, "[...document.images].some((i) => i.complete && i.naturalWidth > 100)")
    page.locator("#run a", has_text="all runs").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#overview:not([hidden])")


def test_a_failure_is_shown_as_text(page, served):
    page.goto(served.url)
    page.wait_for_selector("#runs .error")
    assert page.locator("#runs .error").inner_text() == "out of <b>memory</b>"
    page.select_option("select[name=status]", "killed")
    assert page.locator("#runs tbody tr").count() == 1


def test_columns_sort(page, served):
    page.goto(served.url)
    page.wait_for_selector("#runs tbody tr")
    page.locator("[data-sort=score]").click()
    scores = [float(t) for t in page.locator("#runs tbody tr td:nth-child(6)").all_inner_texts()]
    assert scores == sorted(scores)
    page.keyboard.press("Enter")  # the heading has kept the focus
    scores = [float(t) for t in page.locator("#runs tbody tr td:nth-child(6)").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)


def test_it_is_live(page, sweep, tmp_path):
    folder = tmp_path / "live"
    shutil.copytree(sweep, folder)
    with Server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        page.goto(server.url)
        page.wait_for_selector("#runs tbody tr")
        shutil.copytree(folder / "0_lstm_boolean", folder / "9_lstm_boolean")
        wait(page, "document.querySelectorAll('#runs tbody tr').length === 7")
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_file_shows_the_same_without_a_server(browser, page, sweep, tmp_path, scheme):
    into = tmp_path / "page.html"
    assert command._main(["report", str(sweep), f"into={into}"]) == 0
    page.emulate_media(color_scheme=scheme)
    page.goto(into.as_uri())
    page.wait_for_selector("#runs tbody tr")
    assert page.locator("#runs tbody tr").count() == 6
    assert traces(page, "curves") == 6
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour)[:3])) > 380) == (scheme == "light")
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()


def test_thousands_of_runs(page, sweep, tmp_path):
    data = collect(sweep)
    many = {**data, "base": "./", "runs": [{**data["runs"][i % 4], "id": f"{i}_copy"} for i in range(3000)]}
    (tmp_path / "many.html").write_text(with_data(many))
    page.goto((tmp_path / "many.html").as_uri())
    page.wait_for_selector("#runs tbody tr")
    assert page.locator("#runs tbody tr").count() == 100
    page.locator("#more").click()
    assert page.locator("#runs tbody tr").count() == 200
    assert traces(page, "learning") == 4


EVIL = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def hostile(sweep, tmp_path_factory):
    """Two runs whose names, error and folder are HTML, Markdown and mathematics, and one whose name is a link."""
    folder = tmp_path_factory.mktemp("hostile") / "r&<b>#%?"
    names = {"0_x": EVIL, f"1_{EVIL} #?%": "![](http://127.0.0.1:9/x.png) | $\\\\x$ </script><script>window.hacked=1</script>"}
    for name, arch in names.items():
        shutil.copytree(sweep / "0_lstm_boolean", folder / name)
        text = (folder / name / "config.yaml").read_text()
        changed = text.replace("name: lstm", f"name: '{arch}'").replace("name: boolean", f"name: '{EVIL}'")
        (folder / name / "config.yaml").write_text(changed)
        set_status(folder / name, "finished", overrides=[EVIL])
    shutil.copytree(sweep / "0_lstm_boolean", os.fsdecode(os.fsencode(folder / "3_") + b"\xff"))
    shutil.copytree(sweep / "4_lstm_boolean", folder / "2_x")
    set_status(folder / "2_x", "failed", error=EVIL)
    return folder


def test_html_in_names_errors_and_folders_is_shown_as_text(page, hostile):
    with Server(hostile, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        page.goto(server.url)
        page.wait_for_selector("#runs tbody tr")
        assert EVIL in page.locator("#matrix tbody tr th").all_inner_texts()
        assert page.locator("#runs .error").inner_text() == EVIL
        assert EVIL in page.locator("#learning .legendtext").first.text_content()
        page.locator("#runs a", has_text="1_").click()
        page.wait_for_selector("#one-curve .main-svg")
        assert page.locator("#run h2").first.inner_text() == f"1_{EVIL} #?%"
        page.locator("figure img").first.scroll_into_view_if_needed()
        wait(page, "[...document.images].some((i) => i.complete && i.naturalWidth > 100)")
        assert page.request.get(server.url + page.locator("ul.files a").first.get_attribute("href")).ok
        assert page.evaluate("[window.hacked, document.images.length]") == [None, 2]
        page.goto(server.url)
        page.locator("#runs a", has_text="3_\ufffd").click()
        assert page.request.get(server.url + page.locator("ul.files a").first.get_attribute("href")).ok
        server.shutdown()


def test_html_in_names_is_text_in_the_page_as_one_file(page, hostile, tmp_path):
    assert command._main(["report", str(hostile), f"into={tmp_path / 'page.html'}"]) == 0
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("#runs tbody tr")
    page.locator("#runs a", has_text="0_x").click()
    page.wait_for_selector("#one-curve .main-svg")
    page.locator("figure img").first.scroll_into_view_if_needed()
    wait(page, "[...document.images].some((i) => i.complete && i.naturalWidth > 100)")
    assert page.evaluate("[window.hacked, document.images.length]") == [None, 2]


def test_html_in_names_is_text_in_the_report_of_a_sweep(page, hostile, tmp_path):
    """In its Markdown, whoever renders it, and in the page beside it."""
    into = tmp_path / "report"
    assert sweeps._main(["report", str(hostile), f"into={into}"]) == 0
    (into / "rendered.html").write_text(to_html((into / "report.md").read_text(), into, title=str(hostile)))
    page.goto((into / "rendered.html").as_uri())
    assert page.title() == str(hostile)
    cells = page.locator("td").all_inner_texts()
    assert EVIL in cells
    assert any("![](http" in cell and "| $" in cell and "</script>" in cell for cell in cells)
    assert page.evaluate("[window.hacked, document.images.length]") == [None, 2]
    assert page.locator("img").first.evaluate("(image) => image.naturalWidth") > 100
    page.goto((into / "report.html").as_uri())
    page.wait_for_selector("#runs tbody tr")
    assert page.locator("#beside a").all_inner_texts() == ["report.md", "replicas.csv", "replicas.parquet", "summary.csv"]
    assert page.evaluate("window.hacked") is None


def test_a_report_of_several_folders_has_every_run_once(page, sweep, tmp_path):
    """Its page links to the files of each, wherever it is written."""
    for name in ("one", "two"):
        shutil.copytree(sweep / "0_lstm_boolean", tmp_path / name / "0_lstm_boolean")
    folders = [str(tmp_path / name) for name in ("one", "two", "one")]
    assert sweeps._main(["report", *folders, f"into={tmp_path / 'both'}"]) == 0
    page.goto((tmp_path / "both/report.html").as_uri())
    page.wait_for_selector("#runs tbody tr")
    assert page.locator("#runs a").all_inner_texts() == ["one/0_lstm_boolean", "two/0_lstm_boolean"]
    page.locator("#runs a").last.click()
    link = page.locator("ul.files a", has_text="result.json").evaluate("(a) => a.href")
    assert link == (tmp_path / "two/0_lstm_boolean/result.json").as_uri()
    assert (tmp_path / "both/report.md").read_text().count("| lstm") == 1  # the same replicas count once


def test_a_script_that_is_not_the_pages_own_does_not_run(browser, served):
    opened = browser.new_page()
    opened.goto(served.url)
    opened.wait_for_selector("#runs tbody tr")
    opened.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hacked=1><b style=color:red>x</b>')"
    )
    opened.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hacked = 1' }))"
    )
    opened.wait_for_timeout(200)
    assert opened.evaluate("window.hacked") is None
    opened.close()


@pytest.mark.parametrize("fragment", ["run=%", "run=", "run=%ff", "run=nothing", "%"])
def test_an_address_that_names_no_run_shows_all(page, served, fragment):
    page.goto(f"{served.url}#{fragment}")
    page.wait_for_selector("#runs tbody tr")
    assert page.locator("#runs tbody tr").count() == 6


def ask(server, path, **headers):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.mark.parametrize(
    "path", ["/files/../secret.csv", "/files/%2e%2e/secret.csv", "/files//etc/passwd", "/files/link.csv", "/x"]
)
def test_only_the_files_of_runs_are_served(served, path):
    (served.folder.parent / "secret.csv").write_text("secret")
    link = served.folder / "link.csv"
    if not link.is_symlink():
        link.symlink_to(served.folder.parent / "secret.csv")
    answer, body = ask(served, path)
    assert answer.status == 404
    assert b"secret" not in body


def test_another_sites_name_for_this_address_is_refused(served):
    assert ask(served, "/data.json", Host="evil.example")[0].status == 403


@pytest.mark.parametrize("host", ["LOCALHOST", "localhost:80", "LocalHost:1"])
def test_this_machines_own_names_are_known(served, host):
    assert ask(served, "/", Host=host)[0].status == 200


def raw(server, content, *, limit=5.0):
    """What comes back for bytes that may be no request."""
    with socket.create_connection(server.server_address[:2], timeout=limit) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


HOST = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /files/%00.csv" + HOST, b"404"),
        (b"GET /files/" + b"x" * 5000 + b".csv" + HOST, b"404"),
        (b"GET /files/" + b"x/" * 5000 + b"x.png" + HOST, b"404"),
        (b"GET /files/../../../../../../x.png" + HOST, b"404"),
        (b"GET http://[::1" + HOST, b"400"),
        (b"GET /%ff" + HOST, b"404"),
        (b"GET " + b"x" * 70_000 + HOST, b"414"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / nonsense here\r\n\r\n", b"400"),
        (b"\x00\xff\r\n\r\n", b"400"),
        (b"POST /" + HOST, b"501"),
        (b"DELETE /files/x.csv" + HOST, b"501"),
        (b"HEAD /" + HOST, b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"403"),
    ],
)
def test_every_request_is_answered(served, capfd, request_, status):
    answer = raw(served, request_)
    head = answer.partition(b"\r\n\r\n")[0] if answer.startswith(b"HTTP/") else answer
    assert status in head[:400], answer[:400]
    if request_.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
    assert capfd.readouterr().err == ""
    assert ask(served, "/data.json")[0].status == 200


def test_every_answer_carries_the_policy(served):
    for path in ("/", "/data.json", "/files/0_lstm_boolean/config.yaml", "/nothing"):
        headers = ask(served, path)[0].headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in re.search(r"script-src ([^;]*)", policy)[1]


def test_random_requests_are_answered_or_cut_off_in_silence(served, capfd):
    chance = random.Random(0)
    for _ in range(150):
        content = bytearray(b"GET /files/0_lstm_boolean/metrics.csv" + HOST)
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        raw(served, bytes(content))
    assert capfd.readouterr().err == ""
    assert ask(served, "/data.json")[0].status == 200


def test_a_client_that_goes_away_is_no_news(served, capfd):
    for _ in range(20):
        connection = socket.create_connection(served.server_address[:2])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
        connection.sendall(b"GET /" + HOST)
        connection.close()
    assert ask(served, "/")[0].status == 200
    assert capfd.readouterr().err == ""


def test_idle_connections_are_limited_and_end(sweep, monkeypatch):
    monkeypatch.setattr(serve.Handler, "timeout", 2.0)
    monkeypatch.setattr(serve, "CONNECTIONS", 5)
    before = threading.active_count()
    with Server(sweep, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with ExitStack() as stack:
            idle = [stack.enter_context(socket.create_connection(server.server_address[:2], timeout=9))
                    for _ in range(serve.CONNECTIONS + 1)]  # fmt: skip
            assert b"503" in idle[-1].recv(100)
            assert threading.active_count() - before <= serve.CONNECTIONS + 1
            assert idle[0].recv(100) == b""  # timed out
        deadline = time.monotonic() + 5
        while threading.active_count() - before > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(server, "/")[0].status == 200
        server.shutdown()


def test_unchanged_data_are_not_sent_twice(served):
    answer, body = ask(served, "/data.json")
    assert len(json.loads(body)["runs"]) == 6
    assert ask(served, "/data.json", **{"If-None-Match": answer.headers["ETag"]})[0].status == 304


def test_what_is_not_a_number_is_null_and_no_text_ends_the_script():
    assert (
        to_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": "</script>"})
        == '{"a":null,"b":[null,1.5],"c":"\\u003c/script>"}'
    )


def test_damaged_folders_are_shown_as_far_as_they_go(tmp_path):
    folder = tmp_path / "runs" / "0_x"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("{{{")
    write_rows(folder / "curve.csv", [{"cycle": 1, "bayes": 0.1}])
    (folder / "metrics.csv").write_bytes(b"\xff\xfe")
    (run,) = collect(tmp_path / "runs")["runs"]
    assert (run["id"], run["arch"]) == ("0_x", "?")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "choose one of push, report, serve"),
        (["serve"], "give one folder"),
        (["serve", "nothing"], "no such folder"),
        (["serve", ".", "port=x"], "from 0 to 65535"),
        (["serve", ".", "host=0.0.0.0"], "unknown option 'host'"),
        (["report", "."], "holds no run"),
        (["push", "x"], "push takes"),
    ],
)
def test_a_mistake_is_one_line(arguments, says):
    with pytest.raises(UserError, match=says):
        command._main(arguments)


def test_a_port_that_is_taken_is_one_line(served, sweep):
    with pytest.raises(UserError, match=f"port {served.server_address[1]} cannot be had"):
        Server(Path(sweep), served.server_address[1])
