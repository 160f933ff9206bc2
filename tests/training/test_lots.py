"""Images are drawn by lot: the same ones on every run, in whatever order they are listed."""

from collections import Counter

from service.core.findings import Finding
from training.data.lots import few_of_each, lot_of, one_per_patient
from training.data.studies import Split, Study

STUDIES = tuple(
    Study(f"{source}-{finding}-{number}.png", finding, Split.VAL, source, f"{source}{number // 2}")
    for source in ("west", "east")
    for finding in (Finding.PNEUMONIA, Finding.NORMAL)
    for number in range(6)
)


def test_so_many_of_each_finding_of_each_source_are_drawn() -> None:
    drawn = few_of_each(STUDIES, 4)

    assert Counter((study.source, study.finding) for study in drawn) == {
        ("east", Finding.NORMAL): 4, ("east", Finding.PNEUMONIA): 4,
        ("west", Finding.NORMAL): 4, ("west", Finding.PNEUMONIA): 4,
    }  # fmt: skip
    assert len(set(drawn)) == 16


def test_order_of_the_list_decides_nothing() -> None:
    assert few_of_each(STUDIES, 2) == few_of_each(STUDIES[::-1], 2)
    assert {STUDIES[i] for i in one_per_patient(STUDIES)} == {
        STUDIES[::-1][i] for i in one_per_patient(STUDIES[::-1])
    }


def test_fewer_are_among_those_of_more() -> None:
    assert set(few_of_each(STUDIES, 1)) < set(few_of_each(STUDIES, 3))


def test_first_by_lot_stands_for_its_patient() -> None:
    picked = [STUDIES[index] for index in one_per_patient(STUDIES, Finding.NORMAL)]

    assert len(picked) == 6
    for one in picked:
        rivals = [s for s in STUDIES if s.patient_id == one.patient_id and s.finding is one.finding]
        assert lot_of(one) == min(map(lot_of, rivals))
