"""A year of leads in Tryton: made and moved on by its own rules, then dated back, history included.

Wins are written into the history, as Tryton lets an opportunity win only by a sale that is invoiced and delivered.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

COUNT = 360

SCRIPT = """
import random, sqlite3, sys
from datetime import datetime, timedelta
from decimal import Decimal
from proteus import Model, config
settings, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
config.set_trytond("sqlite:///crm", config_file=settings)
Party, Employee, Lead = (Model.get(n) for n in ("party.party", "company.employee", "sale.opportunity"))
Company = Model.get("company.company")
seller = Party(name="Seller")
seller.save()
buyers = Party._proxy.create([{"name": "Buyer"} for _ in range(count // 2)], config.get_config().context)
(company,) = Company.find([])
employee = Employee(party=seller, company=company)
employee.save()
draw, now, plan = random.Random(7), datetime.utcnow(), []
for number in range(count):
    amount = draw.choice((500, 2000, 8000))
    created = now - timedelta(days=350 - 349 * number / count)
    moved = created + timedelta(days=draw.uniform(1, 25))
    chance = {500: 0.1, 2000: 0.35, 8000: 0.75}[amount]
    state = "lead" if moved > now else "opportunity" if draw.random() < chance else draw.choice(("lead", "lost"))
    won = moved + timedelta(days=draw.uniform(3, 40)) if state == "opportunity" and draw.random() < 0.6 else None
    plan.append((amount, created, moved, state, won if won and won < now else None))
ids = Lead._proxy.create(
    [
        {"party": buyers[place // 2], "employee": employee.id, "company": company.id, "amount": Decimal(amount)}
        for place, (amount, *_) in enumerate(plan)
    ],
    config.get_config().context,
)
for state, button in (("opportunity", "opportunity"), ("lost", "lost")):
    chosen = [one for one, planned in zip(ids, plan) if planned[3] == state]
    getattr(Lead._proxy, button)(chosen, config.get_config().context)
base = sqlite3.connect(path)
history = "sale_opportunity__history"
names = [row[1] for row in base.execute(f"PRAGMA table_info({history})") if row[1] != "__id"]
for key, (amount, created, moved, state, won) in zip(ids, plan):
    base.execute(f"UPDATE {history} SET create_date = ? WHERE id = ?", (str(created), key))
    base.execute("UPDATE sale_opportunity SET create_date = ? WHERE id = ?", (str(created), key))
    if state != "lead":
        base.execute(f"UPDATE {history} SET write_date = ? WHERE id = ? AND state = ?", (str(moved), key, state))
        base.execute("UPDATE sale_opportunity SET write_date = ? WHERE id = ?", (str(moved), key))
    if won:
        shown = ", ".join({"state": "'won'", "write_date": "?"}.get(name, f'"{name}"') for name in names)
        listed = ", ".join(f'"{name}"' for name in names)
        base.execute(
            f"INSERT INTO {history} ({listed}) SELECT {shown} FROM {history} WHERE id = ? AND state = 'opportunity'",
            (str(won), key),
        )
        base.execute("UPDATE sale_opportunity SET state = 'won', write_date = ? WHERE id = ?", (str(won), key))
base.commit()
print(sum(planned[4] is not None for planned in plan))
"""


def make_past(folder: Path, programs: Path) -> int:
    """Make the leads of a server that runs on ``folder`` and return how many of them were won."""
    ran = subprocess.run(
        [str(programs / "python"), "-c", SCRIPT, str(folder / "trytond.conf"), str(folder / "crm.sqlite"), str(COUNT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)
