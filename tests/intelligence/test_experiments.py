"""The experiments with searches and answers, small, and the relevance of the fixed set."""

import pytest

from local_engine.testing import EngineProcess, poll
from tools.benchmarks.search import burst, first_token, freshness, isolation, latency
from tools.benchmarks.search.__main__ import EXPERIMENTS, REPORT, load_figures, make_report
from tools.benchmarks.search.embedding import describe_resources
from tools.benchmarks.search.question_set import load_questions, load_resources
from tools.benchmarks.search.rankings import rank_by_embedding, rank_by_keywords
from tools.benchmarks.search.relevance import LEAST_RECALL, measure_relevance
from tools.benchmarks.search.service_calls import CallRecorder
from tools.benchmarks.search.stand import Stand


@pytest.fixture(scope="module")
def stand(engine: EngineProcess, calls: CallRecorder) -> Stand:
    return Stand(engine, calls, "hashing")


def test_the_set_is_as_large_as_the_page_says() -> None:
    resources, questions = load_resources(), load_questions()
    assert (len(resources), len(questions)) == (240, 60)
    assert len({resource["name"] for resource in resources.values()}) == 240
    for question in questions:
        assert question.grades.keys() <= resources.keys(), question.text
        assert 2 in question.grades.values(), question.text
        assert set(question.grades.values()) <= {1, 2}, question.text


def test_the_small_model_finds_what_other_words_ask_for() -> None:
    texts, questions = describe_resources(load_resources()), load_questions()
    small = measure_relevance(rank_by_embedding("small-embeddings", texts), questions)
    keywords = measure_relevance(rank_by_keywords(texts), questions)
    assert small.recall >= LEAST_RECALL
    assert (small.recall, small.ndcg) > (keywords.recall, keywords.ndcg) > (0, 0)


def test_the_page_has_the_figures_of_the_last_runs_and_no_others() -> None:
    figures = load_figures()
    assert figures.keys() == set(EXPERIMENTS)
    assert REPORT.read_text(encoding="utf-8") == make_report(figures)


def test_perfect_and_useless_rankings_are_measured_as_such() -> None:
    (question, *_) = [each for each in load_questions() if len(each.grades) > 1]
    best = sorted(question.grades, key=lambda key: -question.grades[key])
    assert measure_relevance(lambda _: best, [question]) == (1.0, 1.0)
    assert measure_relevance(lambda _: ["something else"], [question]) == (0.0, 0.0)
    late = measure_relevance(lambda _: ["something else", *best], [question])
    assert late.recall == 1.0
    assert 0 < late.ndcg < 1


def test_a_search_embeds_once_searches_once_and_reads_once(stand: Stand) -> None:
    seen = latency.Experiment(stand, resources=30, users=3, rounds=5).run()
    assert seen["calls"] == {"model": 1, "SearchVectors": 1, "BatchGetItem": 1}


def test_a_created_resource_is_found(stand: Stand) -> None:
    assert freshness.Experiment(stand, samples=2).run()["samples"] == 2


def test_a_burst_of_imports_is_found_without_too_many_calls_of_the_model(stand: Stand) -> None:
    seen = burst.Experiment(stand, resources=60, quota=burst.QUOTA).run()
    assert (seen["resources"], seen["calls_above_quota"], seen["api_errors"]) == (60, 0, 0)


def test_an_answer_begins_before_it_is_complete(stand: Stand) -> None:
    seen = first_token.Experiment(stand, samples=2, resources=12).run()
    assert seen["first_event_ms"] <= seen["first_text_ms"] < seen["whole_answer_ms"]


def test_nothing_of_one_user_reaches_another(stand: Stand) -> None:
    seen = isolation.Experiment(stand, users=3, requests=20).run()
    assert (seen["searches"], seen["answers"]) == (16, 4)


def test_the_dashboard_shows_how_long_changes_wait_for_their_vectors(stand: Stand) -> None:
    def is_shown() -> bool:
        (dashboard,) = client.get("/_local/dashboard.json").json()["dashboards"]
        (age,) = [each for each in dashboard["widgets"] if each.get("title") == "Queues: age of the oldest message"]
        return any(series["label"] == "Vectors-VectorsQueue" for series in age["series"])

    with stand.engine.client() as client:
        poll(is_shown, "the dashboard has the queue's age", 120)
