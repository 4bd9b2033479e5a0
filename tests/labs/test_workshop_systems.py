"""What the second half of the workshop claims, read off the variables of the executed notebooks."""

from __future__ import annotations

import math

import pytest
from labs_support import line

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def spans(notes):
    """When each list was sorted, in order."""
    return sorted((note["begin"], note["end"]) for note in notes)


def test_an_actor_does_one_thing_after_the_other_and_tasks_do_not(solution):
    notes = solution("ray_lab_00_tasks_and_actors").values["notes"]
    for way in ("loop", "one actor"):
        in_order = spans(notes[way])
        assert all(end <= begin for (_, end), (begin, _) in zip(in_order, in_order[1:], strict=False)), way
        assert len({note["process"] for note in notes[way]}) == 1
    for way in ("tasks", "two actors"):
        in_order = spans(notes[way])
        assert any(begin < end for (_, end), (begin, _) in zip(in_order, in_order[1:], strict=False)), way
        assert len({note["process"] for note in notes[way]}) == 2
    assert not {note["process"] for note in notes["loop"]} & {note["process"] for note in notes["tasks"]}


def test_futures_are_waited_for_by_those_who_need_them(solution):
    executed = solution("ray_lab_00_tasks_and_actors")
    found = executed.values
    assert found["rounds"] == math.ceil(math.log2(found["NUM_LISTS"]))
    assert found["merged"] == sorted(number for numbers in found["lists"] for number in numbers)
    assert sum(found["counts"]) == found["NUM_LISTS"]
    assert line(executed.printed, "sorted so far") == "0"


def test_twice_the_trials_take_less_than_twice_the_training(solution):
    executed = solution("ray_lab_01_distributed_tuning")
    assert all(0.5 < times < 1.7 for times in executed.values["times"].values())
    stopped = [int(text.split(" of ")[0]) for text in _all_lines(executed.printed, "stopped early")]
    by_asha, with_a_model = stopped
    assert 8 <= by_asha < 20
    assert 5 <= with_a_model < 20


def _all_lines(output, label):
    return [text.removeprefix(label).strip() for text in output.splitlines() if text.startswith(f"{label}  ")]


def test_the_best_score_may_lose_the_money(solution):
    executed = solution("competing_objectives")
    assert executed.values["regret"] > 35
    assert executed.values["times_quicker"] >= 1
    dollars = float(line(executed.printed, "least lost").split()[0])
    assert dollars < float(line(executed.printed, "best by money").split()[0]) + executed.values["regret"]


def test_a_price_chooses_from_the_front_of_text_pipelines(solution):
    executed = solution("competing_text")
    found = executed.values
    assert found["accuracies"] == sorted(found["accuracies"])
    assert found["times_quicker"] >= 1
    assert float(line(executed.printed, "on new letters")) == pytest.approx(found["on_new_letters"], abs=5e-4)


def test_a_search_that_fails_trials_knows_only_what_was_wanted(solution):
    found = solution("competing_series").values
    assert found["measured"]["fail"] == len(found["wanted"]["fail"])
    assert found["measured"]["thresholds"] == found["measured"]["constraints"] > found["measured"]["fail"]
    assert all(one["microseconds"] <= found["MOST"] for one in found["wanted"]["constraints"])


def test_a_grid_and_single_winners_lose_money(solution):
    found = solution("competing_loans").values
    assert max(found["grid_lost"]) > found["least_lost"] + 10
    assert found["cost_of_score"] > 0 and found["cost_of_money"] > 0
    assert found["final"]["chosen"]["lost"] < found["final"]["grid"]["lost"]


def test_the_wrong_metric_chooses_the_largest_number(solution):
    found = solution("tuning_a_system").values
    assert found["wrong_choice"] == max(found["ns"]) == found["BATCH"]
    assert found["knee"] in found["ns"]
    assert len(found["once"]["spans"]) == found["BATCH"]


def test_limits_fail_trials_and_a_study_can_be_audited_and_tuned_again(solution):
    executed = solution("tuning_a_system")
    assert "all are as journalled" in executed.printed
    assert "must lie in valid_range" in executed.printed
    cpu_s = executed.values["cpu_s"]
    assert cpu_s["1"] > 1.5 * cpu_s["50"], "many small files want many for each process"


def test_a_program_is_tuned_by_turns_and_within_its_memory(solution):
    executed = solution("tuning_a_program")
    found = executed.values
    assert found["knee"] <= found["wrong"]
    assert found["seconds"][str(found["knee"])] <= 1.1 * found["quickest"]
    assert len(found["ratios"]) >= 4 and min(found["ratios"]) > 0
    assert line(executed.printed, "status").startswith("failed")


def test_a_service_is_tuned_while_it_works_and_taken_back(solution):
    executed = solution("tuning_a_live_service")
    assert "all are as journalled" in executed.printed
    assert executed.values["has_moved"] and executed.values["is_rolled_back"]
    assert {"baseline", "canary", "guard"} <= set(executed.values["kinds"])


def test_workers_and_search_are_two_factors_that_multiply(solution):
    executed = solution("speed_up")
    by_workers, _, rest = line(executed.printed, "hardware times search").partition(" x ")
    by_search, _, product = rest.partition(" = ")
    assert float(by_workers) == executed.values["MANY"]
    assert 2 * max(float(by_workers), float(by_search)) < float(product)


def test_a_killed_training_loses_nothing_and_the_best_network_is_in_its_file(solution):
    executed = solution("train_longer")
    left_alone = line(executed.printed, "left alone").split()
    killed = line(executed.printed, "killed in between").split()
    assert killed[:2] == left_alone[:2], "the same accuracy"
    assert (left_alone[3], killed[3]) == ("1", "2"), "attempts"
    assert executed.values["networks"]["stopping"] > executed.values["networks"]["full runs"]
    reported, again = line(executed.printed, "reported").split(", and the file says ")
    assert reported == again


def test_a_network_of_pytorch_goes_on_after_a_kill_and_is_read_from_its_checkpoint(solution):
    executed = solution("two_to_a_gpu")
    left_alone = line(executed.printed, "left alone").split()
    killed = line(executed.printed, "killed in between").split()
    assert (left_alone[3], killed[3]) == ("1", "2"), "attempts"
    tolerance = executed.values["tolerance"]
    assert float(killed[1]) == pytest.approx(float(left_alone[1]), abs=tolerance)
    reported, again = map(float, line(executed.printed, "reported").split(", and the file says "))
    assert reported == pytest.approx(again, abs=tolerance)
    spent, all_in_full = map(int, line(executed.printed, "epochs").split(" instead of "))
    assert spent < all_in_full / 2


def test_two_threads_share_one_cpu(solution):
    found = solution("ray_lab_00_tasks_and_actors").values
    assert found["cpus_of_threads"] < 1.3


def test_a_filter_that_diverged_wins_by_the_shortcut_and_fails_by_valid_range(solution):
    found = solution("speed_up").values
    shortcut = {float(step): error for step, error in found["shortcut"].items() if math.isfinite(error)}
    winner = min(shortcut, key=shortcut.get)
    assert shortcut[winner] < -1e3
    assert found["honest"][str(winner)] > 1e3
    executed = solution("speed_up")
    assert int(line(executed.printed, "filters that diverged")) >= 3
    assert float(line(executed.printed, "best step size")) < winner


def test_two_workers_are_both_at_work(solution):
    executed = solution("speed_up")
    assert float(line(executed.printed, "at work, serially")) <= 1.0
    assert int(line(executed.printed, "most at once, in parallel")) >= 2
    assert "speed-up" in executed.printed
