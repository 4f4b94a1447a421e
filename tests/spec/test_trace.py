"""Hooks: what is recorded, which recordings are forged, and what the monitor sees and waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import get_args

import pytest

from statemachine import Arrow, Binder, Engine, Hook, Model, load_system
from statemachine._generated import JobMachine, PoolMachine, WorkerMachine
from statemachine.model import Place
from statemachine.trace import Monitor, Recorder, Step, Violation, both, illegal_steps

SYSTEM = load_system()
ARROWS = SYSTEM.arrows
each_engine = pytest.mark.parametrize("engine", get_args(Engine))


class Worker(WorkerMachine):
    __slots__ = ("forgetful", "job")

    def __init__(self) -> None:
        super().__init__()
        self.job = False
        self.forgetful = False

    def queue_has_job(self) -> bool:
        return True

    def is_surplus(self) -> bool:
        return False

    def no_job_will_come(self) -> bool:
        return True

    def place_is_taken(self) -> bool:
        return False

    def owns_job(self) -> bool:
        return self.job

    def take_job(self) -> None:
        self.job = not self.forgetful

    def drop_job(self) -> None:
        self.job = self.forgetful


class Job(JobMachine):
    __slots__ = ()

    def pool_accepts(self) -> bool:
        return True


class Pool(PoolMachine):
    __slots__ = ()

    def change_places(self) -> None:
        pass

    def no_worker_lives(self) -> bool:
        return True


class House:
    """One worker, job and pool under one hook."""

    def __init__(self, hook: Hook, engine: Engine = "sealed") -> None:
        binder = Binder(SYSTEM, engine=engine, hook=hook)
        self.worker = binder.bind(Worker)()
        self.job = binder.bind(Job)()
        self.pool = binder.bind(Pool)()

    def live(self) -> None:
        self.worker.started()
        self.job.accepted()
        self.worker.took_job()
        self.job.taken()
        self.job.returned()
        self.worker.finished()
        self.worker.dismissed()
        self.pool.drain_began()
        self.pool.workers_ended()


LIFE = ["W1", "J1", "W4", "J3", "J5", "W7", "W5", "P1", "P4"]


def recorded(engine: Engine = "sealed") -> list[Step]:
    recorder = Recorder(threading.Lock())
    House(recorder, engine).live()
    return recorder.steps


class TestRecorder:
    @each_engine
    def test_it_keeps_every_step_in_order(self, engine: Engine) -> None:
        steps = recorded(engine)
        assert [step.arrow.id for step in steps] == LIFE
        assert [step.serial for step in steps] == [0, 1, 0, 1, 1, 0, 0, 2, 2]
        assert str(steps[2]) == "worker#0 W4 worker.IDLE --took_job--> BUSY"

    def test_it_counts_the_arrows_taken(self) -> None:
        recorder = Recorder(threading.Lock())
        house = House(recorder)
        house.live()
        house.worker = Binder(SYSTEM, hook=recorder).bind(Worker)()
        house.worker.started()
        assert recorder.coverage() == {**dict.fromkeys(LIFE, 1), "W1": 2}

    def test_no_two_objects_share_a_serial_even_when_the_first_is_gone(self) -> None:
        recorder = Recorder(threading.Lock())
        bound = Binder(SYSTEM, hook=recorder).bind(Job)
        for _ in range(50):
            bound().accepted()
        assert [step.serial for step in recorder.steps] == list(range(50))

    def test_threads_may_share_it(self) -> None:
        recorder = Recorder(threading.Lock())
        bound = Binder(SYSTEM, hook=recorder).bind(Job)

        def live() -> None:
            for _ in range(200):
                job = bound()
                job.accepted()
                job.taken()
                job.raised()

        threads = [threading.Thread(target=live) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorder.coverage() == {"J1": 400, "J3": 400, "J6": 400}
        assert illegal_steps(SYSTEM, recorder.steps) == []

    def test_two_hooks_are_called_in_order(self) -> None:
        called: list[str] = []

        def note(name: str) -> Callable[[Model, Arrow], None]:
            return lambda model, arrow: called.append(f"{name} {arrow.id}")

        House(both(note("first"), note("second"))).worker.started()
        assert called == ["first W1", "second W1"]


class TestIllegalSteps:
    def test_a_life_that_was_lived_is_legal(self) -> None:
        assert illegal_steps(SYSTEM, recorded()) == []
        assert illegal_steps(SYSTEM, []) == []

    @pytest.mark.parametrize("number", range(len(LIFE)))
    def test_a_dropped_step_is_found_unless_it_was_an_object_s_last(self, number: int) -> None:
        steps = recorded()
        dropped = steps.pop(number)
        later = [step for step in steps[number:] if step.serial == dropped.serial]
        source = Place(dropped.arrow.machine, dropped.arrow.source)
        wrong = illegal_steps(SYSTEM, steps)
        assert len(wrong) == (1 if later else 0)
        if later:
            assert wrong[0].endswith(f"{later[0]}: the object was in {source}")

    @pytest.mark.parametrize("number", range(len(LIFE)))
    def test_a_step_taken_twice_is_found(self, number: int) -> None:
        steps = recorded()
        twice = steps[number]
        steps.insert(number, twice)
        target = Place(twice.arrow.machine, twice.arrow.target)
        assert illegal_steps(SYSTEM, steps) == [
            f"step {number + 1}: {twice}: the object was in {target}"
        ]

    def test_a_forged_arrow_is_found(self) -> None:
        forged = ARROWS["W1"]._replace(id="W99")
        assert illegal_steps(SYSTEM, [Step(0, forged)]) == [
            "step 0: worker#0 W99 worker.STARTING --started--> IDLE: no such arrow"
        ]

    def test_a_step_forged_for_another_object_is_found(self) -> None:
        steps = recorded()
        steps[4] = Step(7, ARROWS["J6"])
        assert illegal_steps(SYSTEM, steps) == [
            "step 4: job#7 J6 job.RUNNING --raised--> RAISED: the object was in job.NEW"
        ]

    def test_an_arrow_that_only_bears_a_known_id_is_found(self) -> None:
        altered = ARROWS["J2"]._replace(id="J1")
        assert illegal_steps(SYSTEM, [Step(0, altered)]) == [
            "step 0: job#0 J1 job.NEW --refused--> REFUSED: no such arrow"
        ]

    def test_an_object_that_turns_into_another_machine_s_is_found(self) -> None:
        """QUEUED is a state of both, and still not the same place."""
        steps = [Step(0, ARROWS["J1"]), Step(0, ARROWS["C8"])]
        assert illegal_steps(SYSTEM, steps) == [
            (
                "step 1: connection#0 C8 connection.QUEUED --taken--> EXCHANGING: "
                "the object was in job.QUEUED"
            )
        ]


class TestMonitor:
    @each_engine
    def test_a_life_by_the_spec_breaks_nothing(self, engine: Engine) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        House(monitor, engine).live()
        assert monitor.violations == []
        assert +monitor.occupancy == {
            Place("worker", "STOPPED"): 1,
            Place("job", "RETURNED"): 1,
            Place("pool", "STOPPED"): 1,
        }

    def test_half_of_a_joint_step_is_not_judged(self) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        house = House(monitor)
        house.worker.started()
        house.job.accepted()
        house.worker.took_job()  # BUSY and no job RUNNING: unique_ownership does not hold
        assert monitor.occupancy[Place("worker", "BUSY")] == 1
        assert monitor.occupancy[Place("job", "RUNNING")] == 0
        house.job.taken()
        assert monitor.violations == []

    def test_a_joint_step_is_judged_once_it_is_whole(self) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        house = House(monitor)
        house.worker.started()
        house.job.accepted()
        house.pool.drain_began()
        house.worker.took_job()
        house.pool.workers_ended()  # STOPPED, with a busy worker: judged when `take` is whole
        assert monitor.violations == []
        with pytest.raises(Violation, match=r"^stopped_no_runner: .* J3 job.QUEUED --taken-->"):
            house.job.taken()
        assert [line.split(":")[0] for line in monitor.violations] == [
            "stopped_no_runner",
            "stopped_no_busy",
        ]

    @each_engine
    def test_a_property_that_breaks_is_raised_with_the_last_arrows(self, engine: Engine) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        house = House(monitor, engine)
        house.pool.drain_began()
        house.pool.workers_ended()
        with pytest.raises(Violation) as caught:
            house.job.accepted()
        assert str(caught.value) == (
            "stopped_queue_empty: A stopped pool has no job in its queue. (after: "
            "P1 pool.SERVING --drain_began--> DRAINING; "
            "P4 pool.DRAINING --workers_ended--> STOPPED; "
            "J1 job.NEW --accepted--> QUEUED)"
        )
        assert monitor.violations == [
            "stopped_queue_empty: A stopped pool has no job in its queue."
        ]

    def test_an_equation_that_breaks_is_seen_when_the_joint_step_is_whole(self) -> None:
        """Two workers take, and no job is taken: two arrows of `take`, and none of them a job's."""
        monitor = Monitor(SYSTEM, threading.Lock())
        first, second = House(monitor), House(monitor)
        for house in (first, second):
            house.worker.started()
        first.worker.took_job()
        with pytest.raises(Violation, match=r"^unique_ownership: Every running job has exactly"):
            second.worker.took_job()

    @pytest.mark.parametrize(
        ("forgetful_at", "fault"),
        [
            ("took_job", "worker.BUSY requires owns_job"),
            ("finished", "worker.IDLE forbids owns_job"),
        ],
    )
    def test_a_state_s_own_condition_is_asked_of_the_object(
        self, forgetful_at: str, fault: str
    ) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        house = House(monitor)
        house.worker.started()
        house.job.accepted()
        if forgetful_at == "finished":
            house.worker.took_job()
            house.job.taken()
        house.worker.forgetful = True
        with pytest.raises(Violation, match=f"^{fault} "):
            getattr(house.worker, forgetful_at)()
        assert monitor.violations == [fault]

    def test_only_the_last_ten_arrows_are_told(self) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        bound = Binder(SYSTEM, hook=monitor).bind(Job)
        for _ in range(30):
            job = bound()
            job.accepted()
            job.withdrawn()
        house = House(monitor)
        house.pool.drain_began()
        house.pool.workers_ended()
        with pytest.raises(Violation) as caught:
            bound().accepted()
        assert str(caught.value).count("; ") == 9

    def test_an_object_counts_from_its_first_move(self) -> None:
        monitor = Monitor(SYSTEM, threading.Lock())
        House(monitor)
        assert monitor.occupancy == {}
