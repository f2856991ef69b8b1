"""Names of columns and of kinds of touches, in two languages."""

from __future__ import annotations

import pytest

from training.sentinel.actors import is_sales_kind
from training.sentinel.names import doubtful_name


@pytest.mark.parametrize(
    "name",
    [
        "contract_date",
        "ContractNo",
        "signed_at",
        "demo_done",
        "sales_notes",
        "Deal Stage",
        "is_customer",
        "next_step",
        "営業フェーズ",
        "失注理由",
        "受注確度",
        "商談メモ",
        "契約日",
        "担当営業",
        "リードステータス",
        "見込度",
        "案件名",
    ],
)
def test_names_of_sales_work_are_doubted(name: str) -> None:
    assert doubtful_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "industry",
        "company_size",
        "job_level",
        "country",
        "employees",
        "opt_in_status",
        "marital_status",
        "design_agency",
        "page_leads_7d",
        "signup_os",
        "utm_campaign",
        "lead_age",
        "results_page_visits",
        "fleet_owner_type",
        "業種",
        "企業規模",
        "役職",
        "担当者役職",
        "担当者部署",
        "従業員数",
        "都道府県",
        "流入元",
        "サイト訪問回数",
        "資本金",
    ],
)
def test_names_of_what_a_lead_is_are_not(name: str) -> None:
    assert not doubtful_name(name)


@pytest.mark.parametrize(
    "kind", ["call", "outbound_call", "meeting", "demo_held", "quote_sent", "架電", "商談", "訪問"]
)
def test_kinds_of_sales_work_are_known(kind: str) -> None:
    assert is_sales_kind(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "visit",
        "download",
        "demo_request",
        "inbound_call",
        "meeting_booked",
        "webinar_attend",
        "chat",
        "recall_test",
        "問い合わせ",
        "資料請求",
        "サイト訪問",
        "受電",
        "訪問者登録",
    ],
)
def test_kinds_of_what_leads_do_are_not(kind: str) -> None:
    assert not is_sales_kind(kind)
