"""Make example conversations of a customer-support agent, logged as agent frameworks log OpenAI chat completions.

    python examples/make_helpdesk.py > examples/helpdesk.jsonl
    python examples/make_helpdesk.py examples/helpdesk.jsonl     # the same, replaced in one step

The shop is small and real: its tools are Python functions, every call in the file was executed, errors included, and
what a call changes is seen by later calls of the same conversation. What users and agent say is scripted: a task of
`TASKS` names a scenario, a customer, the words the user begins with (one conversation for each of them), mistakes the
agent makes and puts right, and what the user wants afterwards. Everything is invented; the same bytes come out every
time.
"""

import copy
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from specacts.core.files import write_text

SEED = 7
TODAY = date(2025, 3, 14)
RETURN_DAYS, WARRANTY_DAYS = 30, 730

# ---------------------------------------------------------------------------------------------------------- the shop


class Customer(NamedTuple):
    id: str
    name: str
    email: str
    street: str
    city: str
    postcode: str


PEOPLE = """
José Álvarez | jose.alvarez@example.com | Calle Luna 4 | Sevilla | 41003
Zoë Janssen | zoe@example.org | Prinsengracht 81 | Amsterdam | 1015DX
李 Wei | li.wei@example.com | 12 Garden Row | Leeds | LS16AB
Priya Nair | priya.nair@example.org | 8 Temple Road | Dublin | D06X2
Oskar Lindqvist | oskar@example.com | Storgatan 15 | Uppsala | 75331
Marta Kowalska | marta.k@example.org | ul. Polna 3 | Gdańsk | 80209
Tom Brady-Hughes | tom.bh@example.com | 5 Mill Lane | York | YO17HB
Aïcha Benali | aicha@example.org | 22 rue des Lilas | Lyon | 69003
Noam Levi | noam.levi@example.com | 9 Herzl St | Haifa | 33121
Grace Okafor | grace.okafor@example.com | 71 Station Rd | Bristol | BS48PL
Søren Dahl | soren.dahl@example.org | Havnegade 30 | Aarhus | 8000
Emily Zhang | emily.z@example.com | 340 Pine Ave | Portland | 97205
Bruno Ferreira | bruno.f@example.org | Rua Nova 18 | Porto | 40508
Hana Nováková | hana@example.com | Dlouhá 7 | Brno | 60200
Ravi Menon | ravi.menon@example.org | 14 Hill View | Cardiff | CF104
Chloé Martin | chloe.martin@example.com | 6 quai Nord | Nantes | 44000
Dmitri Volkov | dmitri@example.org | Seeweg 11 | Kiel | 24103
Fatima Haddad | fatima.h@example.com | 3 Cedar Close | Luton | LU21
Ken Watanabe | ken.w@example.org | 2 Sakura Court | Reading | RG45
Ingrid Bauer | ingrid.bauer@example.com | Ringstr. 40 | Graz | 8010
Luca Moretti | luca@example.org | Via Roma 55 | Torino | 10121
Nia Williams | nia.w@example.com | 19 Bay Street | Swansea | SA13
Anders Holm | anders.holm@example.org | Fjordvej 2 | Bergen | 5003
Yuki Tanaka | yuki.t@example.com | 88 Elm Drive | Exeter | EX25
Pedro Gómez | pedro.gomez@example.org | Av. del Sol 9 | Málaga | 29005
Rachel Cohen | rachel.c@example.com | 4 Orchard Way | Oxford | OX13
"""
PRODUCTS = {  # sku: name, what people call it, price, pieces in stock
    "HS-210": ("Nimbus headset", "headset", 89.0, 14),
    "KB-330": ("Tact keyboard", "keyboard", 64.5, 3),
    "MS-118": ("Glide mouse", "mouse", 29.9, 40),
    "MN-270": ("Vista monitor", "monitor", 249.0, 0),
    "WC-055": ("Lumen webcam", "webcam", 54.0, 7),
    "SP-140": ("Boom speaker", "speaker", 39.0, 0),
    "CH-065": ("Volt charger", "charger", 24.9, 52),
    "PB-200": ("Reserve power bank", "power bank", 45.0, 11),
    "RT-480": ("Mesh router", "router", 119.0, 2),
    "SD-512": ("Swift memory card", "memory card", 58.0, 25),
    "EB-090": ("Pebble earbuds", "earbuds", 75.0, 0),
    "TB-101": ("Slate tablet", "tablet", 219.0, 5),
    "LP-015": ("Halo desk lamp", "desk lamp", 34.0, 19),
    "DK-700": ("Seven-port dock", "dock", 69.0, 8),
    "CM-310": ("Scout doorbell", "doorbell", 99.0, 6),
    "RD-033": ("Dune radio", "radio", 48.0, 0),
}
ARTICLES = {
    "Return window": "Unused goods can be returned within 30 days of delivery.",
    "Warranty": "Every product has a warranty of two years. Faults are handled as a return with reason defective.",
    "Delivery times": "Standard delivery takes three working days, express one.",
    "Battery care": "Charge a battery before first use and keep it between 20 and 80 percent.",
    "Router setup": "Hold the reset button for ten seconds, then open the setup page and choose a network name.",
    "Headset pairing": "Hold the power button for five seconds until the light blinks blue, then pair.",
    "Invoices": "The invoice is in the parcel. Business customers get it by e-mail.",
    "Damaged parcels": "Take a photo of the damage. The refund is issued as soon as the return is open.",
    "International shipping": "The shop ships to Europe, the United States and Japan. Duties are not included.",
    "Old devices": "Old devices and batteries can be sent back for recycling with the label of any return.",
}
POLICIES = {
    "policies/returns.md": "Open a return only for a delivered order.\n30 days; defective goods two years.",
    "policies/refunds.md": "Refund after a cancellation or an open return, never more than was paid.",
    "policies/warranty.md": "Two years on every product.\nNot covered: water, broken glass, lost parts.",
    "policies/shipping.md": "The address can be changed while an order is processing, not later.",
    "policies/exchanges.md": "Check the stock of the new product first, then open a return for the old one.",
}
REMARKS = (
    "Prefers e-mail to phone.",
    "Customer since 2019, friendly.",
    "Asked for an invoice in January.",
    "Parcel went to a neighbour once.",
    "Likes short answers.",
    "Buys for a small school.",
    "Got a voucher for a late parcel in 2024.",
)
STATUSES = ["processing", "shipped", "delivered", "cancelled"]
REASONS = ["defective", "damaged", "wrong_item", "changed_mind"]


class ShopError(Exception):
    """A wrong call, in words for the agent."""


class Shop:
    """Customers, orders, products and notes. `Shop.open()` is the state every conversation begins with."""

    def __init__(self, customers: dict[str, Customer], orders: dict[str, dict], notes: dict[str, str]) -> None:
        self.customers, self.orders, self.notes = customers, orders, notes
        self.returns: list[str] = []
        self.emails: list[dict] = []

    @classmethod
    def open(cls) -> "Shop":
        rng = random.Random(SEED)
        customers, orders, notes = {}, {}, dict(POLICIES)
        numbers = rng.sample(range(1001, 1999), 100)
        for n, line in enumerate(PEOPLE.strip().splitlines()):
            customer = Customer(f"C-{101 + n}", *(field.strip() for field in line.split("|")))
            customers[customer.id] = customer
            notes[f"customers/{customer.id}.md"] = f"{customer.name}\n{REMARKS[n % len(REMARKS)]}"
            kinds = ["processing", "delivered", ("shipped", "old", "delivered")[n % 3]]
            # Three different products a customer: the product a user names tells their orders apart.
            for kind, sku in zip(kinds, rng.sample(sorted(PRODUCTS), 3), strict=True):
                age = {"processing": 1, "shipped": 4, "delivered": 9, "old": 70}[kind] + rng.randint(0, 3)
                order_id = f"A-{numbers.pop()}"
                orders[order_id] = {
                    "order_id": order_id,
                    "customer_id": customer.id,
                    "status": "delivered" if kind == "old" else kind,
                    "placed": (TODAY - timedelta(days=age)).isoformat(),
                    "items": [{"sku": sku, "name": PRODUCTS[sku][0], "price": PRODUCTS[sku][2]}],
                    "total": PRODUCTS[sku][2],
                    "ship_to": f"{customer.street}, {customer.postcode} {customer.city}",
                }
        return cls(customers, orders, notes)

    def _order(self, order_id: str) -> dict:
        if not re.fullmatch(r"A-\d{4}", order_id):
            raise ShopError(f"invalid order_id '{order_id}': expected A- and four digits")
        if order_id not in self.orders:
            raise ShopError(f"order {order_id} not found")
        return self.orders[order_id]

    def _customer(self, customer_id: str) -> Customer:
        if customer_id not in self.customers:
            raise ShopError(f"unknown customer_id '{customer_id}'")
        return self.customers[customer_id]

    def find_customer_by_email(self, email: str) -> dict:
        for customer in self.customers.values():
            if customer.email == email:
                return {"customer_id": customer.id, "name": customer.name, "city": customer.city}
        raise ShopError(f"no customer with e-mail {email}")

    def search_orders(self, customer_id: str, status: str | None = None) -> dict:
        self._customer(customer_id)
        if status is not None and status not in STATUSES:
            raise ShopError(f"status must be one of {', '.join(STATUSES)}")
        found = [o for o in self.orders.values() if o["customer_id"] == customer_id and status in (None, o["status"])]
        keys = ("order_id", "status", "total")
        items = [[f"{item['sku']} {item['name']}" for item in order["items"]] for order in found]
        return {"orders": [{k: o[k] for k in keys} | {"items": i} for o, i in zip(found, items, strict=True)]}

    def get_order(self, order_id: str) -> dict:
        return self._order(order_id)

    def search_products(self, query: str) -> dict:
        words = set(re.findall(r"\w+", query.lower()))
        found = [sku for sku, (name, noun, *_) in PRODUCTS.items() if words & set(f"{name} {noun}".lower().split())]
        return {"products": [{"sku": s, "name": PRODUCTS[s][0], "price": PRODUCTS[s][2]} for s in found]}

    def search_knowledge_base(self, query: str) -> dict:
        words = {word for word in re.findall(r"\w+", query.lower()) if len(word) > 3}
        hits = {t: len(words & set(re.findall(r"\w+", f"{t} {text}".lower()))) for t, text in ARTICLES.items()}
        best = sorted((title for title in hits if hits[title]), key=lambda title: -hits[title])[:2]
        return {"articles": [{"title": title, "text": ARTICLES[title]} for title in best]}

    def check_stock(self, sku: str) -> dict:
        if sku not in PRODUCTS:
            raise ShopError(f"unknown sku '{sku}': expected two letters, a dash and three digits")
        return {"sku": sku, "name": PRODUCTS[sku][0], "in_stock": PRODUCTS[sku][3]}

    def verify_customer(self, customer_id: str, postcode: str) -> dict:
        known = self._customer(customer_id).postcode
        return {"customer_id": customer_id, "verified": postcode.replace(" ", "").upper() == known}

    def cancel_order(self, order_id: str, reason: str = "") -> dict:
        order = self._order(order_id)
        if order["status"] != "processing":
            raise ShopError(f"order {order_id} is {order['status']}; only processing orders can be cancelled")
        order["status"] = "cancelled"
        return {"order_id": order_id, "status": "cancelled", "refundable": order["total"]}

    def create_return(self, order_id: str, sku: str, reason: str) -> dict:
        order = self._order(order_id)
        if reason not in REASONS:
            raise ShopError(f"reason must be one of {', '.join(REASONS)}")
        if sku not in [item["sku"] for item in order["items"]]:
            raise ShopError(f"order {order_id} holds no {sku}")
        if order["status"] != "delivered":
            raise ShopError(f"order {order_id} is {order['status']}; only delivered orders can be returned")
        days = RETURN_DAYS if reason == "changed_mind" else WARRANTY_DAYS
        if (TODAY - date.fromisoformat(order["placed"])).days > days:
            raise ShopError(f"order {order_id} is older than {days} days")
        self.returns.append(order_id)
        order["return_id"] = f"R-{3000 + int(order_id[2:]) + len(self.returns)}"
        return {"return_id": order["return_id"], "order_id": order_id, "sku": sku, "label": "sent by e-mail"}

    def issue_refund(self, order_id: str, amount: float) -> dict:
        order = self._order(order_id)
        if not isinstance(amount, int | float):
            raise ShopError("amount must be a number")
        if order["status"] != "cancelled" and order_id not in self.returns:
            raise ShopError(f"nothing to refund: order {order_id} has no cancellation and no return")
        if amount > order["total"] - order.get("refunded", 0):
            raise ShopError(f"amount {amount:.2f} exceeds what was paid, {order['total']:.2f}")
        order["refunded"] = order.get("refunded", 0) + amount
        return {"order_id": order_id, "refunded": amount, "days_to_account": 5}

    def update_shipping_address(self, order_id: str, street: str, city: str, postcode: str) -> dict:
        order = self._order(order_id)
        if order["status"] != "processing":
            raise ShopError(f"order {order_id} is {order['status']}; its address cannot be changed any more")
        order["ship_to"] = f"{street}, {postcode} {city}"
        return {"order_id": order_id, "ship_to": order["ship_to"]}

    def list_notes(self, folder: str) -> str:
        names = sorted(path for path in self.notes if path.startswith(folder.rstrip("/") + "/"))
        if not names:
            raise ShopError(f"no such folder: {folder}")
        return "\n".join(names[:12]) + (f"\n... and {len(names) - 12} more" if len(names) > 12 else "")

    def read_note(self, path: str) -> str:
        if path not in self.notes:
            raise ShopError(f"no such file: {path}")
        return self.notes[path]

    def write_note(self, path: str, text: str) -> str:
        if not re.fullmatch(r"(customers|stock)/[\w-]+\.md", path):
            raise ShopError(f"cannot write {path}: notes are customers/<id>.md or stock/<sku>.md")
        self.notes[path] = f"{self.notes[path]}\n{text}" if path in self.notes else text
        return f"Saved {path}, lines: {len(self.notes[path].splitlines())}"

    def send_email(self, to: str, subject: str, body: str) -> dict:
        if not re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", to):
            raise ShopError(f"not an e-mail address: {to}")
        self.emails.append({"to": to, "subject": subject, "body": body})
        return {"sent": True, "to": to}


def text_field(description: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "string"} | ({"description": description} if description else {}) | more


ORDER_ID = text_field("For example A-1042")
CUSTOMER_ID = text_field("For example C-101")
TOOLS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {  # what it does, its fields, the optional ones
    "find_customer_by_email": ("Find a customer by e-mail address.", {"email": text_field()}, ()),
    "search_orders": (
        "List a customer's orders.",
        {"customer_id": CUSTOMER_ID, "status": text_field(enum=STATUSES)},
        ("status",),
    ),
    "get_order": ("Get one order with its items.", {"order_id": ORDER_ID}, ()),
    "search_products": ("Search the product catalogue by name.", {"query": text_field()}, ()),
    "search_knowledge_base": ("Search the help articles.", {"query": text_field()}, ()),
    "check_stock": ("Check how many pieces are in stock.", {"sku": text_field("For example HS-210")}, ()),
    "verify_customer": (
        "Check a customer's identity by the postcode of the account.",
        {"customer_id": CUSTOMER_ID, "postcode": text_field()},
        (),
    ),
    "cancel_order": ("Cancel an order that is not shipped yet.", {"order_id": ORDER_ID, "reason": text_field()}, ()),
    "create_return": (
        "Open a return for one item of a delivered order.",
        {"order_id": ORDER_ID, "sku": text_field(), "reason": text_field(enum=REASONS)},
        (),
    ),
    "issue_refund": (
        "Pay money back for a cancelled or returned order.",
        {"order_id": ORDER_ID, "amount": {"type": "number"}},
        (),
    ),
    "update_shipping_address": (
        "Change where a processing order is sent.",
        {"order_id": ORDER_ID, "street": text_field(), "city": text_field(), "postcode": text_field()},
        (),
    ),
    "list_notes": ("List the note files in a folder.", {"folder": text_field("customers, policies or stock")}, ()),
    "read_note": ("Read a note file.", {"path": text_field("For example policies/returns.md")}, ()),
    "write_note": ("Append a line to a note file.", {"path": text_field(), "text": text_field()}, ()),
    "send_email": (
        "Send an e-mail to a customer.",
        {"to": text_field(), "subject": text_field(), "body": text_field()},
        (),
    ),
}
NOTE_TOOLS = {"list_notes", "read_note", "write_note"}
"""These answer in plain text, an error included; the others in JSON."""


def definition(name: str) -> dict[str, Any]:
    """A tool as the API wants it defined."""
    what, fields, optional = TOOLS[name]
    required = [field for field in fields if field not in optional]
    parameters = {"type": "object", "properties": fields, "required": required}
    return {"type": "function", "function": {"name": name, "description": what, "parameters": parameters}}


def execute(shop: Shop, name: str, arguments: dict[str, Any]) -> tuple[str, Any, bool]:
    """A call's result as the agent sees it, as a value, and whether it failed."""
    try:
        _, fields, optional = TOOLS[name]
        for field in arguments:
            if field not in fields:
                raise ShopError(f"unexpected argument '{field}'")
        for field in fields:
            if field not in arguments and field not in optional:
                raise ShopError(f"missing required argument '{field}'")
        value = copy.deepcopy(getattr(shop, name)(**arguments))
    except ShopError as error:
        text = f"Error: {error}" if name in NOTE_TOOLS else json.dumps({"error": str(error)}, ensure_ascii=False)
        return text, str(error), True
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), value, False


# ------------------------------------------------------------------------------------------------- one conversation

SLIPS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Mistakes that models make and put right at the next try.
    "find_customer_by_email": lambda a: {"email": a["email"].split("@")[0]},
    "search_orders": lambda a: {**a, "status": "open"},
    "get_order": lambda a: {"order_id": a["order_id"][2:]},
    "check_stock": lambda a: {"sku": PRODUCTS[a["sku"]][0]},
    "verify_customer": lambda a: {"customer_id": a["customer_id"]},
    "cancel_order": lambda a: {"order_id": a["order_id"]},
    "create_return": lambda a: {**a, "reason": a["reason"].replace("_", " ") + " product"},
    "issue_refund": lambda a: {**a, "amount": f"{a['amount']:.2f} EUR"},
    "update_shipping_address": lambda a: {("zip" if k == "postcode" else k): v for k, v in a.items()},
    "read_note": lambda a: {"path": a["path"].split("/")[1]},
    "write_note": lambda a: {**a, "path": a["path"].removesuffix(".md")},
    "send_email": lambda a: {k: v for k, v in a.items() if k != "subject"},
}
LEADS = {  # what some models say beside a call
    "search_orders": ("Let me see your orders.", "Looking through your orders."),
    "get_order": ("Let me pull up that order.", "One moment, I am opening the order."),
    "find_customer_by_email": ("Let me find your account.", "I will look you up."),
    "verify_customer": ("Thanks, I am checking that now.", "Checking your details first."),
    "check_stock": ("Let me check the shelf.", "I will check what we have."),
    "read_note": ("First a look at our notes.", "I will read the rule on this."),
    "write_note": ("I am writing that down.", "Let me keep a record of this."),
    "cancel_order": ("All clear, cancelling it now.",),
    "create_return": ("I will open the return now.",),
    "issue_refund": ("Sending the money back.",),
    "send_email": ("I will mail it to you.",),
}
SYSTEMS = (
    "You are the support agent of Brightwire, a small electronics shop. Verify a customer before you change anything, "
    "read the policy before returns and refunds, and write down what you did in customers/<id>.md.",
    "You help customers of Brightwire Electronics. Use the tools; never guess an order number. Check the postcode "
    "before any change. Keep the customer's note up to date.",
    "Brightwire support desk. Be brief and kind. Identify people by postcode, follow policies/, log every change.",
    "You answer for Brightwire, which sells electronics. If something is missing, ask. If no tool can do it, say so.",
)


class Task(NamedTuple):
    """What one group of conversations is about.

    openers: a user's first words, one conversation each. slips: tools first called wrongly. then: what the user wants
    afterwards (`FOLLOW_UPS`, or a key of `IMPOSSIBLE`). options: what a scenario varies by.
    """

    scenario: str
    customer: int
    openers: tuple[str, ...]
    slips: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Talk:
    """A conversation in the making: who speaks, what is called, and what the agent can know by now."""

    def __init__(self, task: Task, number: int) -> None:
        self.rng = random.Random(f"{SEED}-{number}")
        self.shop = Shop.open()
        self.task, self.number = task, number
        self.customer = self.shop.customers[f"C-{101 + task.customer}"]
        self.slips = set(task.slips)
        self.messages: list[dict[str, Any]] = []
        self.used: set[str] = set()
        self.said = ""
        self.language = "he" if "hebrew" in task.options else "en"
        self.full_sdk = number % 3 == 0  # the SDK's model_dump() keeps fields that are null
        self.parts = number % 7 == 3  # some frameworks send every text as a list of parts
        self.escaped = number % 5 == 2  # and some escape what is not ASCII
        self.chatty = 0.3 if number % 2 else 0.1
        self.failed = 0

    def own(self, status: str, old: bool = False) -> dict[str, Any]:
        """The customer's order of that status; with `old`, the one that is past the return window."""
        orders = [o for o in self.shop.orders.values() if o["customer_id"] == self.customer.id]
        limit = (TODAY - timedelta(days=RETURN_DAYS)).isoformat()
        return next(o for o in orders if o["status"] == status and (o["placed"] < limit) == old)

    def system(self) -> None:
        if self.number % 24 != 11:  # some applications send none
            role = "developer" if self.number % 6 == 4 else "system"
            self.messages.append({"role": role, "content": SYSTEMS[self.number % len(SYSTEMS)]})

    def user(self, *choices: str, image: str | None = None) -> None:
        text = self.rng.choice(choices)
        self.said += f"\n{text}"
        content: Any = text
        if image:
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image}}]
        elif self.parts:
            content = [{"type": "text", "text": text}]
        self.messages.append({"role": "user", "content": content})

    def _assistant(self, **fields: Any) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        if self.full_sdk:
            message |= {"refusal": None, "annotations": [], "audio": None, "function_call": None}
        self.messages.append(message | fields)

    def say(self, *choices: str) -> None:
        self._assistant(content=self.rng.choice(choices))

    def ask(self, *choices: str, hebrew: str = "") -> None:
        self.say(*((hebrew,) if hebrew and self.language == "he" else choices))

    def refuse(self, text: str) -> None:
        self._assistant(refusal=text)

    def request(self, *calls: tuple[str, dict[str, Any]]) -> list[tuple[Any, bool]]:
        """One assistant message with its calls, and a tool message for each of them, in either order."""
        ids = ["call_" + "".join(self.rng.choices("abcdefghkmnpqrstuvwxyzABCDEFGHK23456789", k=24)) for _ in calls]
        made = [
            {"id": i, "type": "function", "function": {"name": name, "arguments": self._json(arguments)}}
            for i, (name, arguments) in zip(ids, calls, strict=True)
        ]
        leads = LEADS.get(calls[0][0], ())
        lead = self.rng.choice(leads) if leads and self.rng.random() < self.chatty else None
        self._assistant(content=lead, tool_calls=made)
        results, answers = [], []
        for i, (name, arguments) in zip(ids, calls, strict=True):
            text, value, failed = execute(self.shop, name, arguments)
            results.append((value, failed))
            self.used.add(name)
            self.failed += failed
            content: Any = [{"type": "text", "text": text}] if self.parts and self.number % 2 else text
            extra = {"name": name} if self.number % 4 == 1 else {}
            answers.append({"role": "tool", "tool_call_id": i, **extra, "content": content})
        if len(answers) > 1 and self.rng.random() < 0.5:
            answers.reverse()  # the quicker tool answers first
        self.messages += answers
        return results

    def _json(self, arguments: dict[str, Any]) -> str:
        return json.dumps(arguments, ensure_ascii=self.escaped)

    def call(self, name: str, **arguments: Any) -> Any:
        """A call that succeeds, after a failing one if the task wants that mistake."""
        if name in self.slips:
            self.slips.remove(name)
            ((value, failed),) = self.request((name, SLIPS[name](arguments)))
            assert failed, (name, value)
        ((value, failed),) = self.request((name, arguments))
        assert not failed, (name, arguments, value)
        return value

    def both(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """Two calls that need nothing of each other: side by side, or one after the other if a mistake is due."""
        if any(name in self.slips for name, _ in calls) or self.rng.random() < 0.2:
            return [self.call(name, **arguments) for name, arguments in calls]
        results = self.request(*calls)
        assert not any(failed for _, failed in results), results
        return [value for value, _ in results]


def money(amount: float) -> str:
    return f"{amount:.2f} EUR"


def noun(order: dict[str, Any]) -> str:
    return PRODUCTS[order["items"][0]["sku"]][1]


# ---------------------------------------------------------------------------------------------- what the agent does


def locate(t: Talk, order: dict[str, Any]) -> None:
    """Find the order by what the user has said so far; ask if that is not enough."""
    if order["order_id"] not in t.said and t.customer.email not in t.said:
        t.ask(
            "Which order is it, please? I need the order number or the e-mail address you ordered with.\n"
            "Could you give me one of them?",
            "Happy to help. Could you tell me your order number?",
            "Sure. What is the order number, or the e-mail address of your account?",
            f"I can look into the {noun(order)} for you. What is the order number?",
            "To find it I need the order number. Do you have it at hand?",
            hebrew="בשמחה. מה מספר ההזמנה?",
        )
        if t.language == "he":
            t.user(f"מספר ההזמנה הוא {order['order_id']}")
        elif t.rng.random() < 0.5:
            t.user(
                f"I only have my e-mail: {t.customer.email}",
                f"no idea, but my mail is {t.customer.email}",
                f"It was ordered with {t.customer.email}.",
            )
        else:
            t.user(
                f"It's {order['order_id']}.",
                f"{order['order_id']}, I think 🙂",
                f"The mail says {order['order_id']}",
                f"order {order['order_id']}",
            )
    if order["order_id"] in t.said and t.customer.email in t.said:
        t.both(("get_order", {"order_id": order["order_id"]}), ("find_customer_by_email", {"email": t.customer.email}))
    elif order["order_id"] in t.said:
        t.call("get_order", order_id=order["order_id"])
    else:
        found = t.call("find_customer_by_email", email=t.customer.email)
        orders = t.call("search_orders", customer_id=found["customer_id"], status=order["status"])["orders"]
        if len(orders) > 1 and noun(order) not in t.said.lower():
            names = " or ".join(o["order_id"] for o in orders)
            t.ask(f"I see more than one order. Is it {names}?", f"Which of these do you mean, {names}?")
            t.user(f"{order['order_id']} please", f"The {noun(order)}, so {order['order_id']}.")
        if t.rng.random() < 0.15:
            t.call("get_order", order_id=order["order_id"])


def verify(t: Talk) -> None:
    """Check who the user is, by the postcode; ask for it, and ask again if it is wrong."""
    if t.customer.postcode not in t.said:
        t.ask(
            "Before I change anything: what is the postcode of your account?",
            "Could you confirm your postcode?",
            "Thank you. For security, which postcode do we have on file for you?",
            "I have found it. May I have your postcode?",
            hebrew="תודה. מה המיקוד שרשום אצלנו?",
        )
        if "wrong postcode" in t.task.options:
            t.user("99999, I believe", "It should be 99999.")
            t.call("verify_customer", customer_id=t.customer.id, postcode="99999")
            t.ask(
                "That one does not match our records. Could you look it up again?",
                "Sorry, no match. Could it be another one?",
            )
        answers = (
            f"It's {t.customer.postcode}",
            f"{t.customer.postcode} 👍",
            f"Sure, {t.customer.postcode}.",
            f"postcode {t.customer.postcode}, {t.customer.city}",
        )
        t.user(t.customer.postcode, *(answers if t.language == "en" else ()))
    t.call("verify_customer", customer_id=t.customer.id, postcode=t.customer.postcode)


def read_up(t: Talk, policy: str) -> None:
    """Read what applies: the policy, the customer's note, or both."""
    wanted = [f"policies/{policy}.md", f"customers/{t.customer.id}.md"]
    if "short" in t.task.options:
        return
    if "both notes" in t.task.options:
        t.both(*(("read_note", {"path": path}) for path in wanted))
    else:
        t.call("read_note", path=t.rng.choice(wanted))


def log(t: Talk, *choices: str) -> None:
    if "no log" not in t.task.options:
        t.call("write_note", path=f"customers/{t.customer.id}.md", text=f"{TODAY}: {t.rng.choice(choices)}")


def cancel(t: Talk) -> None:
    order = t.own("processing")
    number = order["order_id"]
    locate(t, order)
    verify(t)
    read_up(t, "refunds")
    reason = t.rng.choice(("customer request", "no longer needed", "ordered by mistake"))
    gone = t.call("cancel_order", order_id=number, reason=reason)
    if "no refund" not in t.task.options:
        t.call("issue_refund", order_id=number, amount=gone["refundable"])
        log(t, f"{number} cancelled, {money(order['total'])} refunded.", f"Cancelled and refunded {number}.")
        t.say(
            *(
                (f"ההזמנה {number} בוטלה ו-{money(order['total'])} יוחזרו תוך חמישה ימים.",)
                if t.language == "he"
                else (
                    f"Order {number} is cancelled and {money(order['total'])} are on the way back, five days at most.",
                    f"Done: {number} is cancelled. You will have {money(order['total'])} back within five days.",
                    f"I have cancelled the {noun(order)} and refunded {money(order['total'])}.",
                )
            )
        )
    else:
        log(t, f"{number} cancelled.", f"Cancelled {number} on request.")
        t.say(f"{number} is cancelled.", f"Your {noun(order)} order is cancelled, nothing will be sent.")


def send_back(t: Talk) -> None:
    """A return, with or without the money at once."""
    old = "old" in t.task.options
    order = t.own("delivered", old=old)
    number, sku = order["order_id"], order["items"][0]["sku"]
    locate(t, order)
    reason = next(word for word in REASONS if word in t.task.options)
    if "say why" in t.task.options:
        t.ask(
            f"What is wrong with the {noun(order)}?",
            "I am sorry to hear that. Why would you like to send it back?",
            "May I ask for the reason of the return?",
        )
        t.user(*WHY[reason])
    verify(t)
    read_up(t, "returns")
    if old and reason == "changed_mind":
        t.request(("create_return", {"order_id": number, "sku": sku, "reason": reason}))
        log(t, f"Return of {number} declined, older than 30 days.")
        t.say(
            f"I am sorry, {number} is older than 30 days, so it can no longer be returned.",
            f"The 30 days for {number} are over; I could not open a return.",
        )
        return
    opened = t.call("create_return", order_id=number, sku=sku, reason=reason)
    if "refund" in t.task.options:
        t.call("issue_refund", order_id=number, amount=order["total"])
        log(t, f"{opened['return_id']} opened and {money(order['total'])} refunded for {number}.")
        t.say(
            f"Return {opened['return_id']} is open and {money(order['total'])} will be with you in five days.",
            f"I refunded {money(order['total'])}. The label for {opened['return_id']} is in your mail.",
        )
    else:
        log(t, f"Return {opened['return_id']} for {number}, {reason}.", f"Opened {opened['return_id']}.")
        t.say(
            f"Your return {opened['return_id']} is open. The label comes by e-mail.",
            f"All set: send the {noun(order)} back with the label for {opened['return_id']} that we mailed you.",
            f"I opened return {opened['return_id']} for {number}; please use the label in your inbox.",
        )


WHY = {
    "defective": ("It does not switch on any more.", "Stopped working after two days 😡", "It keeps losing power."),
    "damaged": ("The case was cracked in the box.", "It arrived with a dent.", "The box was crushed, so was it."),
    "wrong_item": ("You sent another model than I ordered.", "This isn't what I ordered at all.", "Wrong colour!"),
    "changed_mind": ("I just don't need it.", "Found that I have one already 😅", "It's too big for my desk."),
}
MOVES = (("Rosenweg 12", "Bonn", "53111"), ("7 Quay Street", "Cork", "T12XY"), ("45 High Street", "Bath", "BA15"))


def address(t: Talk) -> None:
    order = t.own("processing")
    number = order["order_id"]
    street, city, postcode = MOVES[t.task.customer % len(MOVES)]
    locate(t, order)
    if street not in t.said:
        t.ask("What is the new address?", "Of course. Where should it go instead?", "Which address shall I use?")
        t.user(f"{street}, {postcode} {city}", f"Please send it to {street} in {city}, {postcode}.")
    verify(t)
    read_up(t, "shipping")
    t.call("update_shipping_address", order_id=number, street=street, city=city, postcode=postcode)
    log(t, f"{number} now goes to {street}, {city}.", f"New address for {number}: {postcode} {city}.")
    t.say(
        f"Done, {number} will be sent to {street}, {postcode} {city}.",
        f"The {noun(order)} now goes to {street} in {city}.",
        f"I changed the address of {number} to {street}, {city}.",
    )


def exchange(t: Talk) -> None:
    order = t.own("delivered")
    number, sku = order["order_id"], order["items"][0]["sku"]
    new = next(s for s in t.task.options if s in PRODUCTS)
    locate(t, order)
    found = t.call("search_products", query=PRODUCTS[new][1])["products"]
    stock = t.call("check_stock", sku=next(p["sku"] for p in found if p["sku"] == new))
    verify(t)
    read_up(t, "exchanges")
    if not stock["in_stock"]:
        log(t, f"Wanted to swap {number} for {new}, sold out.")
        t.say(f"We are out of the {PRODUCTS[new][0]}, so I left your order {number} as it is.")
        return
    opened = t.call("create_return", order_id=number, sku=sku, reason="changed_mind")
    log(t, f"Swaps {number} for {new}, return {opened['return_id']}.", f"{opened['return_id']}: wants {new} instead.")
    t.say(
        f"Return {opened['return_id']} is open, and we have {stock['in_stock']} of the {PRODUCTS[new][0]}: "
        "just order it once the old one is on its way.",
        f"You can swap: send the {noun(order)} back as {opened['return_id']}. We have the {PRODUCTS[new][0]} in stock.",
    )


def stock(t: Talk) -> None:
    sku = next(s for s in t.task.options if s in PRODUCTS)
    name, word, price, pieces = PRODUCTS[sku]
    if "vague" in t.task.options:
        t.ask("Which product do you mean?", "Gladly. What is it that you are looking for?")
        t.user(f"The {name}.", f"the {word}, the {name.split()[0]} one", f"{name} 🙏")
    t.call("search_products", query=word)
    t.call("check_stock", sku=sku)
    if pieces:
        t.say(
            f"Yes, we have {pieces} of the {name} at {money(price)}.",
            f"The {name} is in stock, {pieces} pieces, {money(price)} each.",
        )
        return
    t.ask(
        f"We are out of the {name}. Shall I put you on the waiting list, and for which e-mail address?",
        f"No {word} left today. Would you like a mail when there are new ones?",
    )
    t.user(f"Yes please, {t.customer.email}", f"ok! {t.customer.email}", f"Good idea. My mail: {t.customer.email}")
    found = t.call("find_customer_by_email", email=t.customer.email)
    t.call("write_note", path=f"stock/{sku}.md", text=f"Tell {found['customer_id']} when back in stock.")
    t.say(
        f"You are on the list for the {name}.",
        f"Noted, {found['name'].split()[0]}: you will hear from us about the {name}.",
    )


def track(t: Talk) -> None:
    order = t.own("shipped")
    number = order["order_id"]
    locate(t, order)
    t.say(
        f"{number} was shipped; it left us after you ordered it on {order['placed']}.",
        f"Your {noun(order)} is on its way, the order of {order['placed']} is marked as shipped.",
    )
    if "cancel" in t.task.options:
        t.user("Then cancel it, I can't wait that long.", "Too late for me 😕 cancel it please", "Please cancel, then.")
        verify(t)
        t.request(("cancel_order", {"order_id": number, "reason": "too late"}))
        log(t, f"Wanted to cancel {number}, already shipped.")
        t.say(
            f"I cannot cancel {number} any more because it is shipped. You can return it once it has arrived.",
            "It has left the house already, so it can't be cancelled. A return is possible when you have it.",
        )
    elif "elsewhere" in t.task.options:
        t.user("And can it go to my office instead? 3 Dock Lane, 2 km away", "Could you redirect it to 3 Dock Lane?")
        t.call("read_note", path="policies/shipping.md")
        t.say("Once an order is shipped its address can't be changed, I am afraid.")


def warranty(t: Talk) -> None:
    order = t.own("delivered", old="old" in t.task.options)
    number, sku = order["order_id"], order["items"][0]["sku"]
    t.call("search_knowledge_base", query=t.rng.choice(("warranty faults", "warranty two years", "product warranty")))
    t.call("read_note", path="policies/warranty.md")
    t.say(
        "All our products have two years of warranty; water damage, broken glass and lost parts are not covered.",
        "Two years from us, except for water, broken glass and lost parts.",
    )
    t.user(
        f"Great, then I want to claim for my {noun(order)}. It died yesterday.",
        f"OK so my {noun(order)} stopped working, please take it back",
        f"None of that. The {noun(order)} is simply dead, what now? My mail is {t.customer.email}",
    )
    locate(t, order)
    verify(t)
    opened = t.call("create_return", order_id=number, sku=sku, reason="defective")
    log(t, f"Warranty case {opened['return_id']} for {number}.")
    t.say(
        f"Your warranty case is {opened['return_id']}; the label is in your mail.",
        f"I opened {opened['return_id']} as defective. Send the {noun(order)} in with the label.",
    )


def staff(t: Talk) -> None:
    """A colleague asks, not a customer: notes only."""
    path = f"customers/{t.customer.id}.md"
    if t.customer.id not in t.said:
        t.ask("Which customer is it about?", "Gladly. What is the customer number?")
        t.user(f"{t.customer.id}, {t.customer.name}", f"{t.customer.name}, that's {t.customer.id}")
    if "list" in t.task.options:
        t.call("list_notes", folder="customers")
    before = t.call("read_note", path=path).splitlines()
    t.say(f"The note says: {before[-1]}", f"There is one remark: {before[-1]}")
    line = next(o for o in t.task.options if o.endswith("."))
    t.user(f"Add this: {line}", f"Good. Please add a line: {line}", f"ok and write down: {line}")
    t.call("write_note", path=path, text=line)
    if "show" in t.task.options:
        t.user("Show me the file again.", "Read it back to me please")
        now = t.call("read_note", path=path).splitlines()
        t.say(f"It has {len(now)} lines now, the last one is: {now[-1]}")
    else:
        t.say(f"Added to {path}.", f"It is in {path} now.")


def bulk(t: Talk) -> None:
    skus = [s for s in t.task.options if s in PRODUCTS]
    t.both(*(("search_products", {"query": PRODUCTS[s][1]}) for s in skus))
    pieces = [got["in_stock"] for got in t.both(*(("check_stock", {"sku": s}) for s in skus))]
    listed = " and ".join(f"{n} of the {PRODUCTS[s][0]}" for n, s in zip(pieces, skus, strict=True))
    t.say(f"We have {listed}.", f"In stock today: {listed}.")
    t.user(f"Mail me that as an offer, {t.customer.email}", f"please send this to {t.customer.email} 🙏")
    prices = ", ".join(f"{PRODUCTS[s][0]} {money(PRODUCTS[s][2])}" for s in skus)
    t.call("send_email", to=t.customer.email, subject="Your offer", body=prices)
    t.say(f"The offer is on its way to {t.customer.email}.", "Sent, please check your inbox.")


def advice(t: Talk) -> None:
    """A question that the help articles answer, or only half answer."""
    query = next(o[2:] for o in t.task.options if o.startswith("q:"))
    articles = t.call("search_knowledge_base", query=query)["articles"]
    t.say(articles[0]["text"])


def impossible(t: Talk) -> None:
    """The user wants at once what no tool can do."""
    wish = next(o for o in t.task.options if o in IMPOSSIBLE)
    if "look" in t.task.options:
        t.call("search_knowledge_base", query=IMPOSSIBLE[wish].query)
    t.refuse(IMPOSSIBLE[wish].refusal)


def undecided(t: Talk) -> None:
    """The agent asks and goes on in one breath: neither a question nor an answer."""
    sku = next(s for s in t.task.options if s in PRODUCTS)
    t.call("search_products", query=PRODUCTS[sku][1])
    t.call("check_stock", sku=sku)
    t.say(
        f"Did you mean the {PRODUCTS[sku][0]}? We have {PRODUCTS[sku][3]} of them and I will keep one for you.",
        f"Is it the {PRODUCTS[sku][0]} you want? There are {PRODUCTS[sku][3]} here, just order online.",
    )
    t.user("Yes, that one, thanks!", "Right. Thanks 🙂")
    t.say("You are welcome.", "My pleasure.")


def locked_out(t: Talk) -> None:
    """Fails: the user never gives the right postcode."""
    order = t.own("processing")
    locate(t, order)
    t.ask("Could you tell me the postcode of your account?")
    t.user("12345")
    t.call("verify_customer", customer_id=t.customer.id, postcode="12345")
    t.ask("That does not match. Is there an older postcode that you may have used?")
    t.user("then 54321 maybe, I moved a lot")
    t.call("verify_customer", customer_id=t.customer.id, postcode="54321")
    t.say("I could not verify you, so I have to leave the order as it is. Please write to us from your own address.")


def wrong_order(t: Talk) -> None:
    """Fails: the agent does not look which order is meant, and it is too late."""
    order, other = t.own("delivered"), t.own("processing")
    t.call("find_customer_by_email", email=t.customer.email)
    t.call("search_orders", customer_id=t.customer.id)
    t.call("verify_customer", customer_id=t.customer.id, postcode=t.customer.postcode)
    t.call("cancel_order", order_id=other["order_id"], reason="customer request")
    t.say(f"I have cancelled {other['order_id']} for you.")
    t.user(f"No!! I said the {noun(order)}. I wanted to keep the {noun(other)} 😭")
    t.request(("cancel_order", {"order_id": order["order_id"], "reason": "customer request"}))
    t.say(f"I am sorry. {order['order_id']} is delivered and cannot be cancelled, and the other one is gone already.")


def empty_promise(t: Talk) -> None:
    """Fails: the agent says that money was sent, and sent none."""
    order = t.own("delivered")
    locate(t, order)
    t.request(("issue_refund", {"order_id": order["order_id"], "amount": order["total"]}))
    t.say(f"Your refund of {money(order['total'])} has been issued.")


FAILING = {"locked_out", "wrong_order", "empty_promise"}
SCENARIOS: dict[str, Callable[[Talk], None]] = {
    "cancel": cancel,
    "return": send_back,
    "address": address,
    "exchange": exchange,
    "stock": stock,
    "track": track,
    "warranty": warranty,
    "staff": staff,
    "bulk": bulk,
    "advice": advice,
    "impossible": impossible,
    "undecided": undecided,
    "locked_out": locked_out,
    "wrong_order": wrong_order,
    "empty_promise": empty_promise,
}


class Wish(NamedTuple):
    """Something no tool can do: how a user asks for it, how it is declined, what one would search for."""

    words: str
    refusal: str
    query: str


IMPOSSIBLE = {
    "password": Wish(
        "One more thing: reset my account password for me.",
        "I'm sorry, I have no way to reset passwords.",
        "reset account password",
    ),
    "call": Wish("Can somebody ring me this afternoon?", "I cannot arrange phone calls.", "phone callback"),
    "voucher": Wish(
        "And a 20 % voucher for the trouble would be nice.",
        "I can't create vouchers or discounts.",
        "voucher discount",
    ),
    "card": Wish("Also switch my payment to my other card.", "I am not able to change how you pay.", "payment card"),
    "neighbour": Wish(
        "Btw what did my neighbour at number 7 order from you?",
        "I can't share other people's orders.",
        "privacy neighbour",
    ),
    "courier": Wish(
        "Please tell the driver to come after six.",
        "I have no tool to reach the courier, so I can't pass that on.",
        "courier driver evening",
    ),
    "delete": Wish(
        "Then delete my account and all my data.",
        "I cannot delete accounts from here.",
        "delete account",
    ),
    "review": Wish("Could you remove my bad review as well?", "Reviews are out of my reach, I can't.", "remove review"),
    "ship": Wish("And ship a new one tonight, free of charge.", "I can't place orders for you.", "place order tonight"),
    "lock": Wish("My tablet is locked, unlock it from there.", "I can't reach your device.", "unlock device remotely"),
}


def follow_up(t: Talk, wish: str) -> None:
    if wish in IMPOSSIBLE:
        t.user(IMPOSSIBLE[wish].words)
        t.refuse(IMPOSSIBLE[wish].refusal)
    elif wish == "thanks":
        t.user("Thank you!", "perfect, thx 🎉", "Great, that was quick.", "Cheers, bye")
        t.say("You are welcome.", "Glad I could help. Have a nice day!", "Any time.")
    elif wish == "mail":
        t.user("Can I have that in writing?", "Please confirm by e-mail.", "Send me a short mail about it, ok?")
        if t.customer.email not in t.said:
            t.ask("Which e-mail address shall I use?", "Sure. Where should I send it?")
            t.user(t.customer.email, f"{t.customer.email} please")
        t.call("send_email", to=t.customer.email, subject="Your request", body="We have handled it as discussed.")
        t.say(f"It is sent to {t.customer.email}.", "The confirmation is in your inbox.")
    elif wish == "recap":
        t.user("What exactly did you write in my file?", "Which notes do you keep on me now?", "Read me my note.")
        lines = t.call("read_note", path=f"customers/{t.customer.id}.md").splitlines()
        t.say(f"The newest line is: {lines[-1]}", f"It ends with: {lines[-1]}")
    elif wish in PRODUCTS:
        name, word, _, pieces = PRODUCTS[wish]
        t.user(f"Do you have the {name} right now?", f"Btw, is the {word} available?", f"And any {name} left?")
        t.call("search_products", query=word)
        t.call("check_stock", sku=wish)
        t.say(f"There are {pieces} of the {name}." if pieces else f"No {name} left, I am afraid.")
    else:
        t.user(f"And what about {wish}?", f"One question on {wish}.", f"Also, tell me about {wish}.")
        t.say(t.call("search_knowledge_base", query=wish)["articles"][0]["text"])


# -------------------------------------------------------------------------------------------------------- the tasks

PASSWORD = "password" + ": " + "-".join(("correct", "horse", "battery", "1"))
API_KEY = "api_" + "key=" + "".join(("notareal", "key0nota", "realkey0", "example1"))
"""Two made-up secrets that users paste; in pieces, so that no scanner stumbles over this script."""

TASK_TABLE = """
cancel 0 | get_order | thanks
    Hola, please cancel order {order}, I bought the wrong thing.
cancel 1 |  | mail | both notes
    I'd like to call off my {item}. It hasn't been sent, has it?
    Changed my mind about the {item}, stop the shipment 🙏
cancel 2 | issue_refund | voucher
    My son ordered a {item} without asking. Account {email}, {postcode}. What now?
cancel 3 | cancel_order | recap
    Found it cheaper elsewhere, so no {item} for me. My postcode is {postcode}.
cancel 8 |  |  | hebrew, both notes
    שלום, אני רוצה לבטל את ההזמנה שלי
cancel 4 | verify_customer | call | short
    {order} must not go out, we are on holiday until May. Cancel and refund. {name}, {postcode}
    Holiday until May! Please drop {order} and pay me back ({postcode}).
cancel 5 | read_note |  | wrong postcode
    Clicked too fast 😱 and now a {item} is booked that nobody asked for. Undo it?
cancel 6 |  | card | no refund, short
    Hi there, Tom here. Budget got cut, I have to withdraw a purchase.
cancel 7 | write_note | password
    Bonjour! Stop {order}. I log in with {email} and {password} if you need it
return 9 | create_return |  | defective, say why, short
    The {item} I got last week is no good, I want to return it.
    I need to send a {item} back to you
return 10 | read_note | courier | damaged, refund, image
    Parcel {order} was crushed by the courier. Photo attached.
return 11 | search_orders | mail | wrong_item
    Hello, wrong article in the box! It should have been a {item}, {email}
return 12 |  | recap | changed_mind, both notes
    how do returns work with you? got a {item} here that i don't want
return 13 | issue_refund | old devices | defective, refund, short
    Dobrý den, {item} z {order} nefunguje. English is fine too: it is dead.
return 1 | find_customer_by_email | delete | changed_mind, old
    Is it still possible to give back my old {item}? No fault, I simply never used it. {email}
return 15 |  | international shipping | defective, refund, both notes
    Strange buzzing 🔊 from the {item}, and a smell of burning
return 16 | create_return, issue_refund | review | damaged, refund, short
    Order {order}, postcode {postcode}: glass broken on arrival, money back please.
    Broken on arrival: {order}. I want my money, {postcode}.
return 17 | verify_customer | neighbour | wrong_item, image
    This is Fatima. The thing in the photo is not mine, somebody else's name is on the invoice.
return 18 |  | mail | changed_mind, say why, short
    Your {item} is too loud for the office. Ken, {email}, {postcode}.
address 19 | update_shipping_address
    We are moving! Can {order} still go to the new flat?
address 20 | get_order | courier | short
    I typed my street wrong at checkout, please fix it before the {item} leaves.
address 21 |  | recap | both notes
    Deliver to {street}, {city} {newcode} rather than home. {email}
address 22 | send_email | mail
    Need my {item} sent to work because nobody is home. Who can change that?
address 23 | write_note | delivery times
    {order}: other destination please, I'm Yuki, code {postcode}
address 24 | verify_customer | ship | wrong postcode
    It's a present 🎁 for my sister, so {order} should reach her and not me.
exchange 25 | check_stock |  | RT-480, short
    Could I swap the {item} for a router? Account {email}.
    A router would suit me better than the {item}: can we trade? {email}
exchange 0 |  | MN-270 | MS-118, both notes
    The {item} doesn't fit my setup. I'd rather have your mouse.
exchange 4 | create_return | card | TB-101
    Trade-in question: {order} against a tablet, I pay the difference.
exchange 14 |  | voucher | EB-090, short
    My wife wants earbuds, not the {item} I picked 🙈 {email} {postcode}
exchange 11 | read_note | mail | LP-015
    Replace {order} by a desk lamp? Same box, still sealed.
stock 3 | check_stock | thanks | MN-270
    Is there anything left of the big Vista screen?
    vista monitor, got any?
stock 6 |  | delivery times | RD-033, vague
    You had a nice thing in your window on Saturday. Still got it?
stock 9 | check_stock | thanks | DK-700
    Looking for seven USB ports in one box, a dock or so.
stock 13 | write_note | SD-512 | SP-140
    when will the Boom speaker be available again???
stock 17 |  | ship | EB-090, vague
    Need a gift for dad by Friday, do you have that in the shop?
track 3 |  | thanks | cancel
    Where is my {item}? Ordered days ago.
    still no {item} here, any news?
track 6 | get_order | courier | elsewhere
    Status of {order}?
track 9 | find_customer_by_email | invoices | cancel
    Hi, {email} here. Has everything left your warehouse?
track 21 |  | review | cancel
    I waited at home all day and nothing came 😤 {order}
warranty 10 | create_return |  | old
    For how long do you guarantee your stuff?
    guarantee period?
warranty 16 | read_note | mail | old
    What am I entitled to when a device breaks after two months?
warranty 12 |  | call
    If something dies, who pays for the repair, you or me?
warranty 19 | get_order | recap | old
    Do you cover water damage? Asking for a friend 😇
staff 2 | read_note |  | Prefers parcels on Mondays., show
    Internal: what do we have on file about {id}?
    Open the file of {id} for me, I'm from the back office.
staff 8 |  | thanks | Paid the open invoice., list
    I'm in accounting. I need a remark on one of our customers.
staff 14 | write_note | invoices | Wants no advertising., list, show
    Colleague here, which customer files exist, and what is in that of {id}?
staff 20 |  | call | Complained about a late parcel.
    Night shift handover: somebody complained by phone, check our notes
bulk 5 | send_email | thanks | MS-118, CH-065
    Our school needs 30 mice and 30 chargers. What can you deliver?
bulk 22 |  | voucher | WC-055, HS-210
    Planning a small office: webcams plus headsets, quantities on hand please
    office equipment: webcams + headsets, how many have you got?
advice 15 |  | battery care, lock | q:headset pairing
    My new headset won't pair with the laptop, the light stays off.
advice 18 |  | RT-480, thanks | q:router setup
    ok this config is not working on my mesh router, see: {api_key} channel=6
advice 7 |  | delivery times, neighbour | q:international shipping duties
    Do parcels to Japan take duties, and do you go there at all?
impossible 23 |  | EB-090 | password, look
    I forgot my login. Set a new password and tell me.
    new password for my login please, i forgot it
impossible 24 |  | invoices, thanks | delete, look
    Wipe everything you know about me, GDPR!
impossible 5 |  | SP-140 | call
    I demand that someone phones me within the hour.
impossible 25 |  | old devices | lock, look
    My kid's tablet shows a lock screen. Open it remotely 🔒
undecided 11 |  |  | CM-310
    I want the small round camera for the door
undecided 20 |  |  | PB-200
    something to charge my phone on the train, what do you sell
locked_out 14
    Please cancel {order} at once.
wrong_order 2
    Get rid of my {item}. Mail {email}, code {postcode}, no time for questions.
empty_promise 18
    I never got my money for {order}!
"""
"""A task a paragraph: scenario, customer | slips | then | options, and below it the openers."""


def read_tasks(table: str) -> list[Task]:
    tasks: list[Task] = []
    for line in table.strip().splitlines():
        if line.startswith(" "):
            tasks[-1] = tasks[-1]._replace(openers=(*tasks[-1].openers, line.strip()))
            continue
        head, *lists = line.split("|")
        scenario, customer = head.split()
        rest = [tuple(word.strip() for word in column.split(",") if word.strip()) for column in lists]
        tasks.append(Task(scenario, int(customer), (), *rest))
    return tasks


TASKS = read_tasks(TASK_TABLE)
UNGROUPED = {"stock", "advice", "undecided", "locked_out", "wrong_order", "empty_promise"}
"""Scenarios whose single conversations are logged without a group."""


def opening_order(t: Talk) -> dict[str, Any] | None:
    """The order a user has in mind when the conversation begins."""
    status = {"cancel": "processing", "address": "processing", "locked_out": "processing", "track": "shipped"}
    if t.task.scenario in ("return", "exchange", "wrong_order", "empty_promise"):
        return t.own("delivered", old="old" in t.task.options)
    return t.own(status[t.task.scenario]) if t.task.scenario in status else None


def conversation(task: Task, group: str | None, opener: str, number: int) -> dict[str, Any]:
    t = Talk(task, number)
    order = opening_order(t)
    street, city, newcode = MOVES[task.customer % len(MOVES)]
    known = t.customer._asdict() | {"street": street, "city": city, "newcode": newcode}
    known |= {"password": PASSWORD, "api_key": API_KEY}
    if order:
        known |= {"order": order["order_id"], "item": noun(order)}
    t.system()
    image = f"https://example.com/uploads/photo-{number}.jpg" if "image" in task.options else None
    t.user(opener.format(**known), image=image)
    SCENARIOS[task.scenario](t)
    for wish in task.then:
        follow_up(t, wish)
    assert not t.slips, (task.scenario, task.customer, t.slips)
    # Agents are not all offered every tool; those that were used are, of course.
    offered = [name for name in TOOLS if name in t.used or t.rng.random() < 0.6]
    row: dict[str, Any] = {"id": f"conv-{number:04d}"}
    if group:
        row["group"] = group
    return row | {
        "messages": t.messages,
        "tools": [definition(name) for name in offered],
        "success": task.scenario not in FAILING,
        "metadata": {
            "channel": t.rng.choice(("chat", "email", "app")),
            "date": TODAY.isoformat(),
            "agent": f"helpdesk-{1 + number % 3}",
        },
    }


def conversations() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for index, task in enumerate(TASKS):
        group = None if task.scenario in UNGROUPED and len(task.openers) == 1 else f"{task.scenario}-{index + 1:02d}"
        for opener in task.openers:
            rows.append(conversation(task, group, opener, len(rows) + 1))
    return rows


# ------------------------------------------------------------------------------------------------- checks and output


def plain(content: Any) -> str:
    """A message's text, whether a string, parts or nothing."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def failed(message: dict[str, Any]) -> bool:
    return plain(message["content"]).startswith(("Error: ", '{"error": '))


def check(rows: list[dict[str, Any]]) -> None:
    """What readers of the file rely on: every call is answered once, directly after it, and is offered."""
    undecidable = 0
    for row in rows:
        offered = {tool["function"]["name"] for tool in row["tools"]}
        due: list[str] = []
        for message in row["messages"]:
            if message["role"] == "tool":
                due.remove(message["tool_call_id"])
                continue
            assert not due, (row["id"], due)
            text = plain(message["content"])
            if message["role"] == "assistant":
                undecidable += "?" in text.rstrip("?") and not text.endswith("?")
            for call in message.get("tool_calls", ()):
                due.append(call["id"])
                assert call["function"]["name"] in offered, row["id"]
                assert "?" not in text, (row["id"], text)
                json.loads(call["function"]["arguments"])
        assert not due and row["messages"][-1]["role"] == "assistant", row["id"]
    assert undecidable == 2, undecidable


KINDS = {
    **dict.fromkeys(
        ("search_orders", "get_order", "find_customer_by_email", "search_products", "search_knowledge_base"), "look-up"
    ),
    **{"list_notes": "look-up", "read_note": "read", "write_note": "write"},
    **{"verify_customer": "check", "check_stock": "check"},
}
"""Kinds of tools for the summary; the others act."""


def summary(rows: list[dict[str, Any]]) -> str:
    groups: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    first = [plain(next(m["content"] for m in row["messages"] if m["role"] == "user")) for row in rows]
    names = {row.get("group", text) for row, text in zip(rows, first, strict=True)}
    for row in rows:
        group = row.get("group", row["id"])
        made = []
        awaiting: set[str] = set()  # tools whose last call failed
        answers = {m["tool_call_id"]: m for m in row["messages"] if m["role"] == "tool"}
        for message in row["messages"]:
            if message["role"] != "assistant":
                continue
            for call in message.get("tool_calls", ()):
                name = call["function"]["name"]
                made.append(KINDS.get(name, "act"))
                if failed(answers[call["id"]]):
                    counts["failed calls"] += 1
                    awaiting.add(name)
                elif name in awaiting:
                    awaiting.remove(name)
                    made.append("put right")
            if message.get("refusal"):
                made.append("refusal")
            elif not message.get("tool_calls"):
                made.append("question" if plain(message["content"]).endswith("?") else "answer")
        counts.update(made)
        for kind in made:
            groups.setdefault(kind, set()).add(group)
    decisions = sum(counts.values()) - counts["failed calls"] - counts["put right"]
    lines = [
        f"{len(rows)} conversations, {len(names)} groups, {decisions} decisions "
        f"({decisions / len(rows):.1f} a conversation), {counts['failed calls']} failed calls",
        *(f"  {kind}: {counts[kind]} in {len(members)} groups" for kind, members in sorted(groups.items())),
    ]
    return "\n".join(lines)


def main() -> None:
    rows = conversations()
    check(rows)
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    if len(sys.argv) > 1:
        write_text(Path(sys.argv[1]), text)
    else:
        sys.stdout.buffer.write(text.encode())
    print(summary(rows), file=sys.stderr)


if __name__ == "__main__":
    main()
