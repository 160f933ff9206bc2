"""Rows of the two chained tables -> rows of the case index."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from service.core.findings import ABNORMAL
from service.core.triage import Priority
from service.record.case_tables import (
    NOT_EVALUATED_RANK,
    PRIORITY_RANK,
    case_reports,
    cases,
)
from service.record.entry import Outcome
from service.record.evidence import Kind, Label

LABEL_NUMBER = {Label.POSITIVE.value: 1, Label.NEGATIVE.value: 0, Label.UNCLEAR.value: -1}
UNKNOWN = "unknown"
OF_CANDIDATE = (
    "candidate",
    "candidate_rank",
    "candidate_evidence",
    *(f"candidate_{part}_{finding}" for finding in ABNORMAL for part in ("score", "flag")),
)
OF_VERDICT = ("verdict_evidence", *(f"verdict_{finding}" for finding in ABNORMAL))
"""What a case has from its newest row of evidence of a kind."""

REPORTED = tuple(f"report_{finding}" for finding in ABNORMAL)
"""What a case has from the newest report of its study or its accession number."""

Case = dict[str, Any]
"""A row of `cases` by column name."""


def case_of(entry: Mapping[str, Any]) -> Case:
    """The index row of an entry, as far as the entry alone decides it."""
    is_evaluated = entry["outcome"] == Outcome.EVALUATED.value
    made: Case = dict.fromkeys(column.name for column in cases.columns)
    made |= {
        "sequence": entry["sequence"],
        "id": entry["id"],
        "received": datetime.fromisoformat(entry["received_at"]).timestamp(),
        "mode": entry["mode"],
        "outcome": entry["outcome"],
        "reason": entry["reason"],
        "scanner": entry["scanner_alias"] or UNKNOWN,
        "age_band": entry["age_band"] or UNKNOWN,
        "model": f"{entry['model_name']}/{entry['model_version']}",
        "model_digest": entry["model_digest"],
        "threshold_digest": entry["threshold_digest"],
        "rank": PRIORITY_RANK[Priority(entry["priority"])] if is_evaluated else NOT_EVALUATED_RANK,
        "warnings": "".join(f",{code}" for code in json.loads(entry["cautions"])) + ",",
        "study": entry["study_instance"],
        "accession": entry["accession"],
        "counts": int(is_evaluated),
        "disagrees": 0,
        "adjudicated": 0,
    }
    if is_evaluated:
        probabilities = json.loads(entry["probabilities"])
        flagged = {flag["finding"] for flag in json.loads(entry["flags"])}
        for finding in ABNORMAL:
            made[f"score_{finding}"] = probabilities[finding]
            made[f"flag_{finding}"] = int(finding in flagged)
    return made


def count_studies_once(connection: Connection, made: Sequence[Case]) -> None:
    """Let only the first evaluation of a study by a model count: its images are not independent."""
    evaluated = [case for case in made if case["counts"] and case["study"]]
    studies = {case["study"] for case in evaluated}
    earlier = select(cases.c.study, cases.c.model_digest).where(
        cases.c.study.in_(studies), cases.c.counts == 1
    )
    seen = {tuple(row) for row in connection.execute(earlier)} if studies else set()
    for case_row in evaluated:
        key = (case_row["study"], case_row["model_digest"])
        case_row["counts"] = int(key not in seen)
        seen.add(key)


def join_reports(connection: Connection, made: Sequence[Case]) -> None:
    """Give new cases the report that came before them."""
    keys = {key for case in made for key in (case["study"], case["accession"]) if key}
    if not keys:
        return
    known = select(case_reports).where(case_reports.c.study_key.in_(keys))
    reports = {row["study_key"]: row for row in connection.execute(known).mappings()}
    for case_row in made:
        of_case = [
            reports[key] for key in (case_row["study"], case_row["accession"]) if key in reports
        ]
        if of_case:
            newest = max(of_case, key=lambda report: report["evidence"])
            case_row |= {name: newest[name] for name in REPORTED}
            case_row["disagrees"] = int(_disagrees(case_row))


def rejoin_reports(connection: Connection, keys: Sequence[str]) -> set[int]:
    """Bring the newest reports to the cases that bear one of these keys; returns which."""
    joined = _joined_anew(connection, keys)
    if joined:
        _update_each(connection, cases.c.sequence, list(joined.values()))
    return set(joined)


def apply_evidence(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[int]:
    """Bring evidence to the cases that it is about; returns their sequence numbers."""
    changed: set[int] = set()
    for kind, apply in _APPLY.items():
        of_kind = [row for row in rows if row["kind"] == kind.value]
        if of_kind:
            changed |= apply(connection, of_kind)
    return changed


def _disagrees(case_row: Mapping[str, Any]) -> bool:
    return any(
        case_row[f"report_{finding}"] in (0, 1)
        and case_row[f"flag_{finding}"] is not None
        and case_row[f"report_{finding}"] != case_row[f"flag_{finding}"]
        for finding in ABNORMAL
    )


def _apply_candidates(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[int]:
    values = []
    for row in rows:
        body = json.loads(row["body"])
        is_evaluated = body.get("reason") is None
        value: Case = {
            "about": row["entry"],
            "candidate": f"{body['name']}/{body['version']}",
            "candidate_rank": NOT_EVALUATED_RANK,
            "candidate_evidence": row["sequence"],
        }
        if is_evaluated:
            value["candidate_rank"] = PRIORITY_RANK[Priority(body["priority"])]
        for finding in ABNORMAL:
            score = body["probabilities"][finding] if is_evaluated else None
            value[f"candidate_score_{finding}"] = score
            value[f"candidate_flag_{finding}"] = (
                int(finding in body["flags"]) if is_evaluated else None
            )
        values.append(value)
    return _update_entries(connection, values)


def _apply_verdicts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[int]:
    values = []
    for row in rows:
        verdicts = json.loads(row["body"])["verdicts"]
        value: Case = {
            "about": row["entry"],
            "adjudicated": 1,
            "verdict_evidence": row["sequence"],
        }
        for finding in ABNORMAL:
            value[f"verdict_{finding}"] = LABEL_NUMBER.get(verdicts.get(finding))
        values.append(value)
    return _update_entries(connection, values)


def _update_entries(connection: Connection, values: Sequence[Case]) -> set[int]:
    _update_each(connection, cases.c.id, values)
    about = [value["about"] for value in values]
    return set(connection.scalars(select(cases.c.sequence).where(cases.c.id.in_(about))))


def _update_each(
    connection: Connection, named_by: ColumnElement[Any], values: Sequence[Case]
) -> None:
    names = [name for name in values[0] if name != "about"]
    bound: Case = {name: bindparam(f"new_{name}") for name in names}
    connection.execute(
        update(cases).where(named_by == bindparam("about")).values(**bound),
        [
            {"about": value["about"], **{f"new_{name}": value[name] for name in names}}
            for value in values
        ],
    )


def _apply_reports(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[int]:
    newest: dict[str, Case] = {}
    for row in rows:
        report = _report_of(row)
        for key in (row["study_instance"], row["accession"]):
            if key:
                newest[key] = report | {"study_key": key}
    keys = list(newest)
    connection.execute(delete(case_reports).where(case_reports.c.study_key.in_(keys)))
    connection.execute(insert(case_reports), list(newest.values()))
    return rejoin_reports(connection, keys)


def _joined_anew(connection: Connection, keys: Sequence[str]) -> dict[int, Case]:
    """What the newest report by either key makes of the cases that bear one of these keys."""
    flags = [cases.c[f"flag_{finding}"] for finding in ABNORMAL]
    by_either_key = case_reports.c.study_key.in_([cases.c.study, cases.c.accession])
    told = (
        select(cases.c.sequence, *flags, *(case_reports.c[name] for name in REPORTED))
        .join_from(cases, case_reports, by_either_key)
        .where(or_(cases.c.study.in_(keys), cases.c.accession.in_(keys)))
        .order_by(case_reports.c.evidence)
    )
    return {
        row["sequence"]: {
            "about": row["sequence"],
            **{name: row[name] for name in REPORTED},
            "disagrees": int(_disagrees(row)),
        }
        for row in map(dict, connection.execute(told).mappings())
    }


def _report_of(row: Mapping[str, Any]) -> Case:
    outcomes = json.loads(row["body"])["outcomes"]
    return {
        "evidence": row["sequence"],
        **{f"report_{f}": LABEL_NUMBER.get(outcomes.get(f)) for f in ABNORMAL},
    }


_APPLY = {
    Kind.REPORT: _apply_reports,
    Kind.CANDIDATE: _apply_candidates,
    Kind.ADJUDICATION: _apply_verdicts,
}
