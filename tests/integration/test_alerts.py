"""The alert rules, tried by promtool: each fires when it should, and none while all is well."""

import yaml

from tests.prometheus import promtool
from tests.prometheus_rules import RULES, SITUATIONS, alerts, as_promtool_reads_them


def test_promtool_finds_no_fault_with_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_each_alert_fires_when_it_should_and_none_while_all_is_well(tmp_path) -> None:
    file = tmp_path / "rules_test.yaml"
    file.write_text(yaml.safe_dump(as_promtool_reads_them()))
    promtool("test", "rules", str(file))


def test_there_is_a_situation_for_each_alert_in_which_it_fires() -> None:
    fired = {situation.alert for situation in SITUATIONS if situation.minute is not None}
    assert {rule["alert"] for rule in alerts()} == fired
