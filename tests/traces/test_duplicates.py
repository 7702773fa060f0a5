"""Near-duplicate messages: what clusters and what does not, in any order and in any process, whatever the text."""

import random
import sys
import time

import numpy as np
import pytest
from elsewhere import elsewhere

from specacts.traces import duplicates
from specacts.traces.duplicates import Clusters

ORDER = "Hello, I ordered a blue cotton shirt last week but it has not arrived; please cancel order number 4711 for me"
WEATHER = "What will the weather be like in Lisbon tomorrow afternoon, and should I take an umbrella to the beach?"


def labels(messages: list[str], threshold: float = 0.7) -> list[int]:
    clusters = Clusters(threshold)
    assert [clusters.add(message) for message in messages] == list(range(len(messages)))
    return clusters.labels()


def sentence(rng: random.Random, words: int = 20) -> list[str]:
    return ["".join(rng.choices("abcdefghij", k=6)) for _ in range(words)]


def chain() -> list[str]:
    """Each message shares 25 of 30 words with the next: the first and the last have nothing in common."""
    words = sentence(random.Random(0), 90)
    return [" ".join(words[start : start + 30]) for start in range(0, 60, 3)]


def test_messages_that_differ_in_numbers_are_one_cluster():
    assert labels([ORDER, WEATHER, ORDER.replace("4711", "9"), ORDER.replace("4711", "123456")]) == [0, 1, 0, 0]


def test_messages_that_differ_in_a_name_are_one_cluster():
    named = ORDER.replace("Hello", "Hello Ada Lovelace")
    assert labels([ORDER, named, WEATHER]) == [0, 0, 2]


def test_case_width_and_punctuation_do_not_matter():
    assert labels([ORDER, ORDER.upper(), ORDER.replace(" ", " , "), ORDER.replace("4711", "４７１１")], 1.0) == [0] * 4


def test_different_messages_are_clusters_of_their_own():
    rng = random.Random(0)
    assert labels([" ".join(sentence(rng)) for _ in range(200)]) == list(range(200))


def test_short_messages_are_compared_whole():
    assert labels(["Hi", "hi!", "hi there", "Hi, there", "hi 5", "Hi 17", "hello"]) == [0, 0, 2, 2, 4, 4, 6]


def test_a_chain_of_near_duplicates_is_one_cluster():
    messages = chain()
    assert labels([messages[0], messages[-1]]) == [0, 1]
    assert labels(messages) == [0] * len(messages)


def test_the_threshold_decides():
    pair = [ORDER, " ".join(ORDER.split()[:14]) + " " + " ".join(WEATHER.split()[:7])]  # 12 of 26 shingles: 0.46
    assert labels(pair, 0.3) == [0, 0]
    assert labels(pair, 0.7) == [0, 1]


def test_only_equal_messages_cluster_at_threshold_one():
    assert labels([ORDER, ORDER + " now", ORDER], 1.0) == [0, 1, 0]


@pytest.mark.parametrize("threshold", [0, -1, 1.1, float("nan")])
def test_a_threshold_that_is_no_similarity_is_refused(threshold: float):
    with pytest.raises(ValueError, match="threshold"):
        Clusters(threshold)


def test_messages_without_words_stay_alone():
    assert labels(["", "", " \n", "👍", "👍", "?!", ORDER, ORDER]) == [0, 1, 2, 3, 4, 5, 6, 6]
    assert labels([""]) == [0]
    assert labels([]) == []


def test_more_messages_may_follow_after_labels_were_asked_for():
    clusters = Clusters(0.7)
    clusters.add(ORDER)
    assert clusters.labels() == clusters.labels() == [0]
    clusters.add(ORDER + " now")
    assert clusters.labels() == [0, 0]


def test_pairs_above_the_threshold_are_found_and_pairs_below_are_not():
    rng = random.Random(1)
    messages, pairs = [], 300
    for number in range(pairs):
        words = sentence(rng, 40)
        kept = 38 if number < pairs // 2 else 20  # 36 of 40 shingles, or 18 of 58
        messages += [" ".join(words), " ".join(words[:kept] + sentence(rng, 40 - kept))]
    found = labels(messages)
    together = [found[2 * n] == found[2 * n + 1] for n in range(pairs)]
    assert all(together[: pairs // 2])
    assert not any(together[pairs // 2 :])
    assert len(set(found)) == pairs * 2 - pairs // 2


def test_the_partition_does_not_depend_on_the_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 3)  # buckets larger than that, so that it matters who is next to whom
    rng = random.Random(2)
    begin = sentence(rng, 22)
    messages = [" ".join(begin + sentence(rng, 6)) for _ in range(300)] + chain()
    expected = labels(messages, 0.6)
    assert 1 < len(set(expected)) < len(messages)
    for seed in range(3):
        order = list(range(len(messages)))
        random.Random(seed).shuffle(order)
        found = labels([messages[n] for n in order], 0.6)
        smallest = {label: min(n for n, other in zip(order, found, strict=True) if other == label) for label in found}
        assert [expected[n] for n in order] == [smallest[label] for label in found]


def test_many_messages_of_one_template_are_found_without_comparing_all():
    rng = random.Random(3)
    begin = sentence(rng, 40)
    messages = [" ".join(begin + sentence(rng, 3)) for _ in range(1_000)]
    started = time.process_time()
    assert set(labels(messages)) == {0}
    assert time.process_time() - started < 5


def test_another_process_finds_the_same():
    rng = random.Random(4)
    begin = sentence(rng, 13)
    messages = [" ".join(begin + sentence(rng, 5)) for _ in range(100)]
    code = (
        "import sys, json; from specacts.traces.duplicates import Clusters; clusters = Clusters(0.6);"
        "[clusters.add(message) for message in json.load(sys.stdin)]; print(clusters.labels())"
    )
    found = labels(messages, 0.6)
    assert elsewhere(code, messages) == found
    assert 1 < len(set(found)) < 100


def test_hostile_text_is_taken_in():
    surrogates = "".join(map(chr, range(0xD800, 0xE000)))
    texts = [
        "\0",
        "one\0two\0three\0four",
        surrogates,
        f"a {surrogates} b c\ud800",
        "\u202eمرحبا بالعالم كيف حالك اليوم\u202c",
        "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag 🇵🇹",
        "\ufdfa" * 10_000,
        "ß ẞ ſ İ ı ﬁ ①②③ ½",
        "x" * 1_000_000,
    ]
    found = labels(texts + texts)
    assert found[2] == 2 and found[2 + len(texts)] == 2 + len(texts)
    assert [n for n in range(len(texts)) if found[n + len(texts)] == found[n] == n] == [1, 3, 4, 5, 6, 7, 8]


def test_of_a_long_message_only_the_beginning_counts():
    words = sentence(random.Random(5), 3_000)
    assert labels([" ".join(words), " ".join(words[:2_000]), " ".join(words[:1_000])], 1.0) == [0, 0, 2]


@pytest.mark.parametrize("text", ["word " * 200_000, "a" * 1_000_000, "\u0300\u0323" * 500_000, "a\u0301" * 500_000])
def test_a_megabyte_takes_no_longer_than_its_beginning(text: str):
    started = time.process_time()
    labels([text])
    assert time.process_time() - started < 3


def test_a_message_takes_less_than_a_kilobyte():
    clusters = Clusters(0.7)
    rng = random.Random(6)
    for _ in range(500):
        clusters.add(" ".join(sentence(rng)))
    entry = sys.getsizeof(next(iter(clusters._rows))) + sys.getsizeof(1 << 20)
    held = sys.getsizeof(clusters._signatures) + sys.getsizeof(clusters._rows) + sys.getsizeof(clusters._row_of)
    assert held / 500 + entry < 1_000


def test_the_estimate_is_the_one_of_datasketch():
    from datasketch import MinHash

    sketches = []
    for message in (ORDER, WEATHER, ORDER + " now"):
        clusters = Clusters(0.7)
        clusters.add(message)
        values = np.frombuffer(clusters._signatures, dtype=np.uint32)
        sketches.append(MinHash(hashvalues=values, scheme="affine32", seed=duplicates.SEED))
    assert sketches[0].jaccard(sketches[1]) < 0.1
    assert abs(sketches[0].jaccard(sketches[2]) - 19 / 20) < 0.15
