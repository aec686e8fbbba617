"""The demo's server, in this process and without a browser."""

import base64
import concurrent.futures
import http.client
import io
import json
import socket
import threading
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tests.serving.interactive_test import make
from tests.support import tiny_run
from usis_jax.serving import guard, interactive, limits, server

SPEC = tiny_run.SPEC


@pytest.fixture(scope="module")
def sampler():
    """An InteractiveSampler of a tiny generator."""
    return interactive.InteractiveSampler(make())


def start(sampler, **options):
    """A server that answers in a thread."""
    label = tiny_run.batch(0, 0, 1)["label"][0]
    found = server.Server(sampler, [("first", label)], **{"rate": 1e4, "burst": 1e4} | options)
    found.start()
    return found


@pytest.fixture(scope="module")
def running(sampler):
    """A server with room for many requests."""
    found = start(sampler, most_waiting=1000)
    yield found
    found.stop()


def ask(running, method, path, body=None, headers=(), timeout=60):
    """(status, headers, body) of an answer."""
    address = http.client.HTTPConnection(*running.address, timeout=timeout)
    try:
        address.request(method, path, body, dict(headers))
        answer = address.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        address.close()


def post(running, body, query="", path="/api/generate", kind="image/png", **headers):
    """The answer to a POST."""
    return ask(running, "POST", path + query, body, {"Content-Type": kind, **headers})


def code(answer):
    """(status, code) of an answer that must be a documented error."""
    status, headers, body = answer
    error = json.loads(body)["error"]
    assert headers["Content-Type"] == "application/json" and error["message"]
    assert limits.CODES[error["code"]][0] == status
    return status, error["code"]


def png(array):
    """PNG file of an array."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(file, "PNG")
    return file.getvalue()


def picture(body):
    """Array of a PNG file."""
    return np.asarray(Image.open(io.BytesIO(body)))


FILE_IDS = np.array([255, 10, 20, 30], np.uint8)


@pytest.fixture
def train_ids():
    """A label map uint8 [16, 16]."""
    return tiny_run.batch(0, 0, 1)["label"][0].astype(np.uint8)


def test_label_map_becomes_the_generators_image(running, sampler, train_ids):
    want = sampler.generator(train_ids.astype(int), seed=3, num_samples=3)[:, 0]
    bodies = {
        "?seed=3": png(FILE_IDS[train_ids]),
        "?seed=3&ids=train&size=16x16": png(train_ids),
        "?seed=3&format=png&samples=1": png(SPEC.colour(train_ids)),
    }
    for query, body in bodies.items():
        status, headers, image = post(running, body, query)
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert float(headers["X-Seconds"]) > 0
        np.testing.assert_array_equal(picture(image), want[0])
    *_, image = post(running, png(train_ids), "?seed=3&ids=train&samples=3")
    np.testing.assert_array_equal(picture(image), np.concatenate(want, axis=1))


def test_json_request_has_all_fields_and_a_json_answer(running, sampler, train_ids):
    regions = np.zeros((16, 16), np.uint8)
    regions[:, 8:] = 1
    body = {
        "label": base64.b64encode(png(train_ids)).decode(), "ids": "train", "seed": 1,
        "seed_to": 2, "mix": 0.25, "regions": base64.b64encode(png(regions)).decode(),
        "region_seeds": [7], "samples": 2, "format": "json", "size": "16x16",
    }  # fmt: skip
    status, _, answer = post(running, json.dumps(body), kind="application/json")
    answer = json.loads(answer)
    assert status == 200 and (answer["height"], answer["width"]) == (16, 16)
    assert len(answer["photos"]) == len(answer["seconds"]) == 2
    noise = interactive.Noise(1, 2, 0.25, regions, (7,))
    for sample, image in enumerate(answer["photos"]):
        want, _ = sampler(train_ids.astype(np.int32), noise, sample)
        np.testing.assert_array_equal(picture(base64.b64decode(image)), want)


def test_drawing_changes_the_image_near_the_drawn_pixels(train_ids):
    run = start(interactive.InteractiveSampler(make(size=(16, 64), spade_kernel=1)))
    try:
        label = np.tile(train_ids, 4)
        drawn = label.copy()
        drawn[:, :6] = (drawn[:, :6] + 1) % 4
        before, after = (picture(post(run, png(each), "?ids=train")[2]) for each in (label, drawn))
        changed = np.flatnonzero((before != after).any(axis=(0, 2)))
        assert set(range(6)) <= set(changed) and changed.max() < 6 + 10
    finally:
        run.stop()


def test_label_map_of_another_size_is_stretched(running, train_ids):
    large = train_ids.repeat(3, 0).repeat(2, 1)
    status, _, answer = post(running, png(FILE_IDS[large]), path="/api/label")
    answer = json.loads(answer)
    assert (status, answer["height"], answer["width"]) == (200, 16, 16)
    assert base64.b64decode(answer["label"]) == train_ids.tobytes()


@pytest.mark.parametrize(
    ("body", "query", "words"),
    [
        (png(np.full((16, 16), 77, np.uint8)), "", "label id 77 on 256 pixels outside"),
        (png(np.full((16, 16, 3), 9, np.uint8)), "", r"colour (9, 9, 9) on 256 pixels"),
        (png(np.full((16, 16), 4, np.uint8)), "?ids=train", "has id 4; the last one is 3"),
        (png(np.full((16, 16, 3), 1, np.uint8)), "?ids=train", "mode RGB"),
        (b"GIF89a" + bytes(100), "", "not a PNG"),
        (png(np.full((16, 16), 10, np.uint8))[:50], "", "does not decode"),
    ],
)
def test_label_map_that_does_not_fit_is_refused_with_the_reason(running, body, query, words):
    for path in ("/api/generate", "/api/label"):
        answer = post(running, body, query, path)
        assert code(answer) == (400, "bad_label")
        assert words in json.loads(answer[2])["error"]["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?seed=-1", "seed is -1; it must be a whole number, 0 to 2147483647"),
        ("?seed=2147483648", "0 to 2147483647"),
        ("?seed=1&seed=2", "seed comes twice"),
        ("?samples=0", "samples is 0"),
        ("?samples=17", "1 to 16"),
        ("?mix=1.5", "mix is 1.5; it must be a number, 0 to 1"),
        ("?mix=nan", "mix is nan"),
        ("?size=17x16", "size is 17x16; it must be one of 16x16"),
        ("?ids=all", "ids is all; it must be one of file, train"),
        ("?colour=red", "unknown field 'colour'"),
        ("?region_seeds=1", "unknown field 'region_seeds'"),
    ],
)
def test_field_that_does_not_fit_is_named(running, train_ids, query, words):
    answer = post(running, png(FILE_IDS[train_ids]), query)
    assert code(answer) == (400, "bad_field")
    assert words in json.loads(answer[2])["error"]["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": None}, "label is missing"),
        ({"label": "%%"}, "label must be a PNG in base64"),
        ({"label": 3}, "label must be a PNG in base64"),
        ({"seed": True}, "seed is True"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": "3"}, "seed is 3"),
        ({"regions": None}, "regions is null"),
        ({"regions": "AAAA"}, "regions: not a PNG"),
        ({"region_seeds": [1]}, "without regions"),
        ({"region_seeds": list(range(16))}, "at most 15"),
        ({"region_seeds": ["x"]}, "region_seeds is x"),
    ],
)
def test_json_field_that_does_not_fit_is_named(running, train_ids, change, words):
    body = {"label": base64.b64encode(png(FILE_IDS[train_ids])).decode()} | change
    answer = post(running, json.dumps(body), kind="application/json")
    assert code(answer) == (400, "bad_field")
    assert words in json.loads(answer[2])["error"]["message"]


def test_regions_need_a_seed_for_each_number(running, train_ids):
    label = base64.b64encode(png(FILE_IDS[train_ids])).decode()
    regions = base64.b64encode(png(np.full((16, 16), 2, np.uint8))).decode()
    body = json.dumps({"label": label, "regions": regions, "region_seeds": [1]})
    answer = post(running, body, kind="application/json")
    assert code(answer) == (400, "bad_field")
    assert "number 2; region_seeds has 1" in json.loads(answer[2])["error"]["message"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"[1]", "no object"),
        (b"{", "no JSON"),
        (b"[" * 100000, "no JSON"),
        (b'{"mix": NaN}', "no JSON"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
    ],
)
def test_body_that_is_no_json_object_is_refused(running, body, what):
    answer = post(running, body, kind="application/json")
    assert code(answer) == (400, "bad_request")
    assert what in json.loads(answer[2])["error"]["message"]


def test_large_bodies_and_pictures_are_refused(running):
    assert code(post(running, bytes(limits.MOST_BODY + 1))) == (413, "too_large")
    wide = png(np.zeros((1, 5000), np.uint8))
    assert code(post(running, wide)) == (413, "too_large")
    many = png(np.zeros((4000, 4000), np.uint8))
    assert code(post(running, many)) == (413, "too_large")


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.py", "/page/../../cli.py", "/%2e%2e/cli.py", "/..%2f..%2fsetup.py",
        "//etc/passwd", "/page.js/../page.css", "/page.js%00", "/./page.js", "/demo/server.py",
        "/api", "/api/", "/api/spec/", "/\\..\\x", "/page.JS",
    ],
)  # fmt: skip
def test_only_known_paths_are_answered(running, path):
    assert code(ask(running, "GET", path)) == (404, "not_found")


def test_page_and_descriptions_are_served(running):
    for path in server._PAGE:
        status, headers, body = ask(running, "GET", f"/{path}")
        assert status == 200 and body and headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ask(running, "GET", "/")[2] == ask(running, "GET", "/index.html")[2]
    status, headers, body = ask(running, "HEAD", "/")
    assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 1000


def test_page_loads_nothing_from_elsewhere(running):
    for kind, body in running.page.values():
        text = body.decode()
        found = [word for word in ("http://", "https://", "//cdn", "@import") if word in text]
        assert not found or (kind == "image/svg+xml" and found == ["http://"])
        for word in ('src="', 'href="'):
            targets = [part.split('"')[0] for part in text.split(word)[1:]]
            # Relative, so that a proxy may serve the page in a folder.
            assert all(":" not in target and target[0] != "/" for target in targets)


def test_spec_describes_classes_and_sizes(running):
    spec = json.loads(ask(running, "GET", "/api/spec")[2])
    assert [each["name"] for each in spec["classes"]] == list(SPEC.classes)
    assert [each["file_id"] for each in spec["classes"]] == FILE_IDS.tolist()
    assert spec["classes"][1]["colour"] == [80, 120, 200]
    assert spec["sizes"][0] == {"name": "as trained", "height": 16, "width": 16}
    [example] = json.loads(ask(running, "GET", "/api/examples")[2])["examples"]
    assert (example["name"], len(base64.b64decode(example["label"]))) == ("first", 256)


def test_schema_names_every_path_field_and_error(running):
    schema = json.loads(ask(running, "GET", "/api/schema")[2])
    assert schema["openapi"].startswith("3.1")
    for path, methods in schema["paths"].items():
        for method in methods:
            assert ask(running, method.upper(), path, b"")[0] in (200, 415)
    post = schema["paths"]["/api/generate"]["post"]
    fields = post["requestBody"]["content"]["application/json"]["schema"]["properties"]
    in_query = {each["name"] for each in post["parameters"]}
    assert in_query == set(fields) - {"label", "regions", "region_seeds"}
    described = " ".join(each["description"] for each in post["responses"].values())
    for name, (status, _) in limits.CODES.items():
        assert f"{name}:" in described and str(status) in post["responses"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "GET"])
def test_wrong_method_names_the_right_one(running, method):
    answer = ask(running, method, "/api/generate")
    assert code(answer) == (405, "wrong_method") and answer[1]["Allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO", "get"])
def test_method_that_no_path_has_is_named_before_its_body_is_looked_at(running, method):
    for path, allow in (
        ("/", "GET, HEAD"),
        ("/page.js", "GET, HEAD"),
        ("/api/label", "POST"),
        ("/api/spec", "GET, HEAD"),
        ("/api/status", "GET, HEAD"),
    ):
        answer = ask(running, method, path)
        assert code(answer) == (405, "wrong_method") and answer[1]["Allow"] == allow
    chunked = ask(running, method, "/", b"0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    assert code(chunked) == (405, "wrong_method")
    assert code(ask(running, method, "/nowhere")) == (404, "not_found")
    assert ask(running, "HEAD", "/api/generate")[::2] == (405, b"")


def test_fields_may_come_in_the_query_of_json_too(running, train_ids):
    label = base64.b64encode(png(train_ids)).decode()
    body = json.dumps({"label": label, "seed": 3.0})
    alone = post(running, png(train_ids), "?seed=3&ids=train&mix=1e-1&samples=2")
    both = post(running, body, "?seed=4&ids=train&mix=0.1&samples=2", kind="application/json")
    assert (alone[0], both[0]) == (200, 200) and alone[2] == both[2]


def test_status_says_what_is_compiling_while_other_sizes_are_served(train_ids, monkeypatch):
    sampler = interactive.InteractiveSampler(make())
    begun, go_on = threading.Event(), threading.Event()
    other = next(size for size in sampler.sizes.values() if size != (16, 16))
    compile_program = sampler._compile

    def slow(*program):
        if program[:2] == other:
            begun.set()
            assert go_on.wait(60)
        return compile_program(*program)

    monkeypatch.setattr(sampler, "_compile", slow)
    run = start(sampler)

    def state(size):
        found = json.loads(ask(run, "GET", "/api/status")[2])["programs"]
        return {one["state"] for one in found if one["size"] == size and not one["regions"]}

    try:
        name = f"{other[0]}x{other[1]}"
        assert state("16x16") == state(name) == {"not asked"}
        assert post(run, png(train_ids), "?ids=train")[0] == 200
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(post, run, png(train_ids), f"?ids=train&size={name}")
            assert begun.wait(60)
            assert (state("16x16"), state(name)) == ({"ready"}, {"compiling"})
            assert post(run, png(train_ids), "?ids=train")[0] == 200
            go_on.set()
            status, headers, _ = first.result()
        assert status == 200 and float(headers["X-Compiling"]) >= 0 and state(name) == {"ready"}
        again = post(run, png(train_ids), f"?ids=train&size={name}")
        assert "X-Compiling" not in again[1]
    finally:
        go_on.set()
        run.stop()


def test_host_of_the_sixth_version_may_have_brackets(sampler):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with server.Server(sampler, [], host="[::1]") as found:
        assert found.url.startswith("http://[::1]:")
        with pytest.raises(ValueError, match=r"choose another --port, or --port=0"):
            server.Server(sampler, [], host="::1", port=found.address[1])


def test_only_png_and_json_are_taken(running, train_ids):
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded"):
        assert code(post(running, png(train_ids), kind=kind)) == (415, "wrong_type")


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("localhost:1", True), ("127.0.0.1", True), ("[::1]:80", True), ("192.168.1.7:8000", True),
        ("LocalHost", True), ("demo.example:8000", True),
        ("evil.example", False), ("localhost.evil.example", False), ("", False),
        ("127.0.0.1.evil.example", False), ("127.0.0.1@evil.example", False), ("a b", False),
        ("localhost:port", False), ("localhost/x", False), ("[", False),
    ],
)  # fmt: skip
def test_host_header_must_name_this_server(host, right):
    assert guard.Guard(None, ("127.0.0.1", "Demo.example")).knows(host) is right


def test_other_hosts_and_other_sites_are_refused(running, train_ids):
    body = png(FILE_IDS[train_ids])
    assert code(ask(running, "GET", "/", headers={"Host": "evil.example"})) == (421, "wrong_host")
    own = "{}:{}".format(*running.address)
    assert post(running, body, Origin=f"http://{own}")[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"ftp://{own}"):
        assert code(post(running, body, Origin=origin)) == (403, "cross_site")
    assert code(post(running, body, **{"Sec-Fetch-Site": "cross-site"})) == (403, "cross_site")


def test_client_that_asks_too_often_waits(sampler, train_ids):
    run = start(sampler, rate=0.5, burst=4)
    try:
        body = png(FILE_IDS[train_ids])
        assert post(run, body, "?samples=4")[0] == 200
        answer = post(run, body, "?samples=3")
        assert code(answer) == (429, "too_many") and 4 <= int(answer[1]["Retry-After"]) <= 7
        assert ask(run, "GET", "/api/spec")[0] == 200
    finally:
        run.stop()


def test_rate_refills_with_time_and_forgets_old_clients():
    rate = limits.Rate(2, 4, most_clients=2)
    rate.take("a", 4, now=0)
    with pytest.raises(limits.Refusal) as caught:
        rate.take("a", 3, now=1)
    assert caught.value.code == "too_many" and caught.value.wait == pytest.approx(0.5)
    rate.take("a", 3, now=1.5)
    rate.take("b", 1, now=2)
    rate.take("c", 1, now=2)
    rate.take("a", 4, now=2)
    assert len(rate._left) == 2


def test_turns_are_in_order_and_few_may_wait():
    turns, done, first = limits.Turns(most_waiting=2, patience=30), [], threading.Event()

    def work(number):
        with turns.turn():
            first.wait(30)
            done.append(number)

    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        while len(turns._line) <= number:
            pass
    with pytest.raises(limits.Refusal) as caught, turns.turn():
        pass
    assert caught.value.code == "busy"
    first.set()
    for thread in threads:
        thread.join(30)
    assert done == [0, 1, 2]
    turns.patience = 0.01
    with turns.turn(), pytest.raises(limits.Refusal, match="no turn within"), turns.turn():
        pass
    with turns.turn():
        pass


def test_fifty_at_once_are_answered_or_told_to_wait(sampler, train_ids):
    run = start(sampler, most_waiting=8)
    try:
        body, want = png(FILE_IDS[train_ids]), None
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda n: post(run, body, f"?seed={n}"), range(50)))
        answered = [n for n, answer in enumerate(answers) if answer[0] == 200]
        assert len(answered) >= 9
        for n, answer in enumerate(answers):
            if n in answered:
                want, _ = sampler(train_ids.astype(np.int32), interactive.Noise(n))
                np.testing.assert_array_equal(picture(answer[2]), want)
            else:
                assert code(answer) == (503, "busy") and answer[1]["Retry-After"]
        assert post(run, body)[0] == 200
    finally:
        run.stop()


def _raw(running, content):
    """Status lines and bodies of whatever comes back for bytes sent as they are."""
    with socket.create_connection(running.address, timeout=20) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def _malformed(random, good):
    """One request that is broken somewhere: its head, its fields, its body."""
    head = [b"POST /api/generate?seed=1 HTTP/1.1", b"Host: localhost", b"Content-Type: image/png"]
    kind, body = random.integers(10), bytearray(good)
    if kind == 0:
        return bytes(random.integers(0, 256, random.integers(1, 400), dtype=np.uint8)) + b"\r\n\r\n"
    if kind == 1:
        for place in random.integers(8, len(body), 6):
            body[place] = random.integers(256)
    if kind == 2:
        body = body[: random.integers(0, len(body))]
    if kind == 3:
        path = bytes(random.integers(33, 127, random.integers(1, 60), dtype=np.uint8))
        head[0] = b"POST /api/generate?" + path + b" HTTP/1.1"
    if kind == 4:
        line = random.integers(3)
        text = bytearray(head[line])
        text[random.integers(len(text))] = random.integers(256)
        head[line] = bytes(text)
    if kind == 5:
        head[2] = b"Content-Type: application/json"
        values = [b"null", b"-1", b"[]", b"{}", b'""', b"1e999", b"true", b"9" * 30, b'"\\ud800"']
        names = [b"seed", b"mix", b"label", b"regions", b"region_seeds", b"samples", b"size"]
        pairs = [
            b'"%s":%s' % (names[random.integers(7)], values[random.integers(9)]) for _ in range(3)
        ]
        body = b"{" + b",".join(pairs) + b"}"
    length = b"Content-Length: %d" % len(body)
    if kind == 6:
        wrong = [b"-5", b"x", b"1, 2", b"", b"+7", b"\xc2\xb2", b"99999999999999999999"]
        length = b"Content-Length: " + wrong[random.integers(7)]
    if kind == 7:
        length = [b"Transfer-Encoding: chunked", b"X: y", length + b"\r\n" + length][
            random.integers(3)
        ]
    if kind == 8:
        head += [b"X%d: %s" % (n, b"v" * random.integers(1, 900)) for n in range(150)]
    if kind == 9:
        head[0] = [
            b"GET " + b"/x" * 40000 + b" HTTP/1.1", b"BREW /api/generate HTTP/1.1",
            b"POST /api/generate HTTP/7.9", b"POST /api/generate", b"POST http://[ HTTP/1.1", b"",
        ][random.integers(6)]  # fmt: skip
    return b"\r\n".join([*head, length, b"Connection: close", b"", b""]) + bytes(body)


def test_two_hundred_malformed_requests_give_only_documented_errors(running, train_ids, capfd):
    random = np.random.default_rng(20)
    good = png(FILE_IDS[train_ids])
    statuses = {str(status) for status, _ in limits.CODES.values()} - {"500"}
    refused = 0
    for _ in range(200):
        answer = _raw(running, _malformed(random, good))
        if not answer:
            continue
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split()[1].decode()
        if status == "200":
            assert b"image/png" in head
            continue
        assert status in statuses, head
        error = json.loads(body[: body.index(b"}}") + 2])["error"]
        assert limits.CODES[error["code"]][0] == int(status)
        refused += 1
    assert refused > 120
    assert "Traceback" not in capfd.readouterr().err
    assert post(running, good)[0] == 200


def test_memory_does_not_grow_with_requests(running, train_ids):
    body = png(FILE_IDS[train_ids])

    def some(number):
        for seed in range(number):
            assert post(running, body, f"?seed={seed}")[0] == 200
            post(running, body[:40])

    some(20)
    tracemalloc.start()
    try:
        some(5)
        before = tracemalloc.get_traced_memory()[0]
        some(40)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000


def test_fault_of_the_program_is_a_documented_error_too(running, monkeypatch, train_ids, capfd):
    def broken(*_):
        raise ZeroDivisionError("here")

    monkeypatch.setattr(running.answers, "sampler", broken)
    monkeypatch.setattr(broken, "sizes", {"one": (16, 16)}, raising=False)
    monkeypatch.setattr(broken, "wait_for", lambda *_: 0.0, raising=False)
    assert code(post(running, png(FILE_IDS[train_ids]))) == (500, "internal")
    assert "ZeroDivisionError: here" in capfd.readouterr().err


def test_connection_is_used_again_and_closed_after_an_error(running, train_ids):
    connection = http.client.HTTPConnection(*running.address, timeout=30)
    for _ in range(3):
        connection.request("GET", "/api/spec")
        answer = connection.getresponse()
        assert (answer.status, answer.will_close) == (200, False) and answer.read()
    connection.request("POST", "/api/generate", b"x", {"Content-Type": "image/png"})
    answer = connection.getresponse()
    assert (answer.status, answer.will_close) == (400, True)
    connection.close()


def test_too_many_connections_are_told_so(sampler):
    run = start(sampler)
    try:
        address = run.address
        held = [socket.create_connection(address) for _ in range(limits.MOST_CONNECTIONS)]
        with socket.create_connection(address, timeout=20) as one_more:
            head, _, body = one_more.recv(65536).partition(b"\r\n\r\n")
        assert b" 503 " in head and json.loads(body)["error"]["code"] == "busy"
        assert b"content-length: %d" % len(body) in head.lower()
        for connection in held:
            connection.close()
        for _ in range(100):
            if ask(run, "GET", "/api/spec")[0] == 200:
                break
    finally:
        run.stop()


def test_port_in_use_is_said(running, sampler):
    port = running.address[1]
    with pytest.raises(ValueError, match=f"--port {port} .*choose another"):
        server.Server(sampler, [], port=port)
    with pytest.raises(ValueError, match="cannot listen at --host 203"):
        server.Server(sampler, [], host="203.0.113.9")


def test_slow_body_is_given_up(running, monkeypatch):
    monkeypatch.setattr(limits, "BODY_TIME", 0.2)
    head = b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(running.address, timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_command_serves_until_it_is_stopped(sampler, monkeypatch, tmp_path):
    import signal
    import urllib.request

    from usis_jax.cli import main
    from usis_jax.inference import sampling
    from usis_jax.serving import serve

    asked, answered = [], []

    def load(workdir, step, best):
        asked.append((workdir, step, best))
        return sampler.generator

    monkeypatch.setattr(sampling.Generator, "load", load)
    monkeypatch.setattr(serve.interactive, "InteractiveSampler", lambda generator: sampler)
    monkeypatch.setattr(serve.examples, "label_maps", lambda generator: [])

    def visit(url):
        answered.append(urllib.request.urlopen(url).status)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(serve.webbrowser, "open", visit)
    file = tmp_path / "result.json"
    arguments = ["--workdir=w", "--step=7", "--port=0", "--open", f"--json={file}"]
    assert main.main(["demo", *arguments]) == 0
    assert (asked, answered) == ([("w", 7, False)], [200])
    result = json.loads(file.read_text())
    assert result["command"] == "demo" and result["url"].startswith("http://127.0.0.1:")
    with pytest.raises(OSError):
        urllib.request.urlopen(result["url"], timeout=5)
