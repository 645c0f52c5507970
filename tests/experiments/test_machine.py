import time

from course_lib.experiments import machine


def test_the_time_of_one_call():
    assert 0.004 < machine.seconds_of(lambda: time.sleep(0.005)) < 0.02


def test_short_work_is_repeated_and_the_first_call_is_not_counted():
    calls = []

    def work():
        time.sleep(0.2 if not calls else 0.001)
        calls.append(1)

    assert machine.seconds_of(work) < 0.02
    assert len(calls) > 3 * machine.ROUNDS
