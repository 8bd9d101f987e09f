"""Canonical countries and states, and the spellings known to stand for them: data, no code.

A name is matched without regard to case; one that is not listed here is kept as it came.
"""

from __future__ import annotations

__all__ = ["COUNTRY_VARIANTS", "STATES", "STATE_VARIANTS"]

STATES: dict[str, str] = {
    "Australia": "ACT|NSW|NT|QLD|SA|TAS|VIC|WA",
    "Austria": (
        "Burgenland|Kärnten|Niederösterreich|Oberösterreich|Salzburg|Steiermark|Tirol|Vorarlberg"
        "|Wien"
    ),
    "Belgium": "Brussels Capital Region|Région wallonne|Vlaanderen",
    "Canada": (
        "Alberta|British Columbia|Manitoba|New Brunswick|Newfoundland and Labrador"
        "|Northwest Territories|Nova Scotia|Nunavut|Ontario|Prince Edward Island|Quebec"
        "|Saskatchewan|Yukon"
    ),
    "England": "East Sussex|West Sussex",
    "Finland": (
        "Central Finland|Central Ostrobothnia|Kainuu|Kanta-Häme|Kymenlaakso|Lapland|North Karelia"
        "|North Savo|Northern Ostrobothnia|Ostrobothnia|Pirkanmaa|Päijät-Häme|Satakunta"
        "|South Karelia|South Ostrobothnia|South Savo|Uusimaa|Varsinais-Suomi|Åland"
    ),
    "France": "Bouche du Rhône",
    "Germany": (
        "Baden-Württemberg|Bayern|Berlin|Brandenburg|Bremen|Hamburg|Hessen"
        "|Mecklenburg-Vorpommern|Niedersachsen|Nordrhein-Westfalen|Rheinland-Pfalz|Saarland"
        "|Sachsen|Sachsen-Anhalt|Schleswig-Holstein|Thüringen"
    ),
    "Ireland": (
        "Carlow|Cavan|Clare|Cork|Donegal|Dublin|Galway|Kerry|Kildare|Kilkenny|Laois|Leitrim"
        "|Limerick|Longford|Louth|Mayo|Meath|Monaghan|Offaly|Roscommon|Sligo|Tipperary|Waterford"
        "|Westmeath|Wexford|Wicklow"
    ),
    "Isle of Man": "Middle",
    "Italy": "Bolzano",
    "Japan": "Osaka",
    "Netherlands": (
        "Drenthe|Flevoland|Friesland|Gelderland|Groningen|Limburg|Noord-Brabant|Noord-Holland"
        "|Overijssel|Utrecht|Zeeland|Zuid-Holland"
    ),
    "New Zealand": (
        "Auckland|Bay of Plenty Region|Canterbury Region|Gisborne Region|Hawke's Bay Region"
        "|Manawatū-Whanganui Region|Marlborough Region|Nelson Region|Northland Region"
        "|Otago Region|Southland Region|Taranaki Region|Tasman Region|Waikato Region"
        "|Wellington Region|West Coast Region"
    ),
    "Poland": "dolnośląskie",
    "Portugal": (
        "Aveiro|Açores|Beja|Braga|Bragança|Castelo Branco|Coimbra|Évora|Faro|Guarda|Leiria|Lisboa"
        "|Madeira|Portalegre|Porto|Santarém|Setúbal|Viana do Castelo|Vila Real|Viseu"
    ),
    "Scotland": "Argyll|Bute|East Dunbartonshire|West Dunbartonshire",
    "Singapore": "Singapore",
    "South Africa": (
        "Eastern Cape|Free State|Gauteng|KwaZulu-Natal|Limpopo|Mpumalanga|North West"
        "|Northern Cape|Western Cape"
    ),
    "South Korea": (
        "Busan|Chungcheongbukdo|Chungcheongnamdo|Daegu|Daejeon|Gangwondo|Gwangju|Gyeonggido"
        "|Gyeongsangbukdo|Gyeongsangnamdo|Incheon|Jejudo|Jeollabukdo|Jeollanamdo|Sejong|Seoul"
        "|Ulsan"
    ),
    "Sweden": "Blekinge|Halland",
    "Ukraine": "Dnipropetrovsk Oblast",
    "United States": (
        "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware"
        "|District of Columbia|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky"
        "|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana"
        "|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina"
        "|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|South Carolina"
        "|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin"
        "|Wyoming"
    ),
}

COUNTRY_VARIANTS: dict[str, str] = {
    "USA": "United States",
    "United States of America": "United States",
    "Deutschland": "Germany",
    "Korea, Republic of": "South Korea",
}

STATE_VARIANTS: dict[tuple[str, str], str] = {
    ("Belgium", "Flanders"): "Vlaanderen",
    ("Belgium", "Région flamande"): "Vlaanderen",
    ("Belgium", "Waals Gewest"): "Région wallonne",
    ("Belgium", "Wallonia"): "Région wallonne",
    ("Germany", "Bavaria"): "Bayern",
    ("New Zealand", "Northland"): "Northland Region",
    ("South Korea", "Deagu"): "Daegu",
}
