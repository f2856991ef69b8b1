"""What may not become a feature, by name and by pattern."""

from __future__ import annotations

import pytest

from crm.personal import forbidden_reason, hash_id, looks_personal, personal_name_reason


@pytest.mark.parametrize(
    "name",
    [
        *("email", "Email", "WorkEmail", "work_email", "email2", "EmailAddress", "account_email", "corporate_email"),
        *("candidate_email", "discount_phone", "phone", "Phone Number", "MobilePhone", "mobilephone", "Fax", "tel"),
        *("FirstName", "first name", "lastname", "Full Name", "name", "contact_name", "user_name", "Surname"),
        *("birthday", "DateOfBirth", "date_of_birth", "dob", "street", "Billing Street", "address", "IP Address"),
        *("linkedin_url", "passport", "ssn", "ＥＭＡＩＬ"),
        *(
            "氏名",
            "お名前",
            "名",
            "電話番号",
            "携帯",
            "メールアドレス",
            "メール",
            "住所",
            "郵便番号",
            "生年月日",
            "フリガナ",
        ),
    ],
)
def test_names_of_personal_data_are_refused(name: str) -> None:
    assert personal_name_reason(name) == "its name says e-mail, phone, name or address"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "email_clicks",
            "Email Open Count",
            "email_domain",
            "email_opt_out",
            "Do Not Email",
            "has_phone",
            "phone_type",
        ),
        *("company_name", "Account Name", "campaign_name", "domain_name", "product_name", "hostname", "company"),
        *("city", "country", "industry", "employees", "trip", "tip", "shipping", "hotel", "template", "telework"),
        *("会社名", "業種", "メール開封数", "電話回数", "都道府県"),
    ],
)
def test_what_only_describes_or_counts_is_not(name: str) -> None:
    assert personal_name_reason(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("status", "Lead Status", "LeadStatus", "stage", "StageName", "owner", "OwnerId", "hubspot_owner_id"),
        *("hs_lead_status", "lifecyclestage", "Lost Reason", "lost_reason", "closed_reason", "Tags", "tag"),
        *("Last Notable Activity", "LastActivityDate", "last_activity", "LastModifiedDate", "notes_last_contacted"),
        *("IsConverted", "ConvertedDate", "converted_opportunity_id", "Opportunity Amount", "opportunities"),
        *("quote_total", "Quote", "merged_into", "merge flag", "is_merged", "MasterRecordId", "is_deleted"),
        *("is_won", "Won", "closedate", "ClosedDate", "deal_amount", "num_associated_deals", "disposition"),
        *(
            "sql_date",
            "mql_score",
            "ステータス",
            "リードステータス",
            "失注理由",
            "商談フェーズ",
            "担当者",
            "受注日",
            "最終活動日",
        ),
    ],
)
def test_l6_fields_written_after_the_hand_off_are_refused(name: str) -> None:
    assert forbidden_reason(name) == "fields of this name are filled in after the hand-off"


@pytest.mark.parametrize(
    "name",
    [
        *("marital_status", "employment_status", "funding_stage", "ownership_type", "lead_origin", "source", "reason"),
        *("wonder", "dealer", "tagline", "quotation_style", "industry", "業種", "従業員数", "資本金"),
    ],
)
def test_what_only_sounds_like_them_is_not(name: str) -> None:
    assert forbidden_reason(name) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a.b@example.co.jp", "its values look like e-mail addresses"),
        ("Ann <ann@example.com>", "its values look like e-mail addresses"),
        ("03-1234-5678", "its values look like phone numbers"),
        ("0120-123456", "its values look like phone numbers"),
        ("+819012345678", "its values look like phone numbers"),
        ("(03) 1234 5678", "its values look like phone numbers"),
    ],
)
def test_values_of_personal_data_are_known_by_their_pattern(value: str, reason: str) -> None:
    assert looks_personal([value]) == reason
    assert looks_personal([value, *["x"] * 19]) == reason
    assert looks_personal([value, *["x"] * 20]) is None, "fewer than one in twenty"


@pytest.mark.parametrize(
    "value",
    [
        *("2024-01-01", "2024-01-01 10:00:00", "2024-01", "20240101", "1234567.89", "1 234 567", "1000-5000"),
        *("10000 - 50000", "10.0.0.1", "a@b", "@handle", "v1.2.3", "", "  ", "日本"),
    ],
)
def test_dates_amounts_and_ranges_are_not(value: str) -> None:
    assert looks_personal([value]) is None


def test_nothing_looks_like_nothing() -> None:
    assert looks_personal([]) is None


def test_a_hash_depends_on_the_key_and_on_nothing_else() -> None:
    assert hash_id("a", "k") == hash_id("a", "k") != hash_id("a", "l")
    assert hash_id("a", "b") != hash_id("ab", "")
