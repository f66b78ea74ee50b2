"""Renders the chart with Helm's own engine: {"name": {values}, ...} on stdin, {"name": {docs | error}} on stdout.

Every document of a kind that Kubernetes itself has is held against that version's schema, strictly.
"""

import json
import sys

import helm_python as helm
import kubernetes_validate
import yaml

CHART, *VERSIONS = sys.argv[1:]


def valid(document):
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        return  # The operator's kinds are in no schema that a package ships.
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def rendered(chart, values):
    try:
        files = chart.render(values, name="demo", namespace="prod")
    except helm.HelmError as error:
        return {"error": str(error)}
    documents = [d for text in files.values() for d in yaml.safe_load_all(text) if d]
    for document in documents:
        valid(document)
    return {"docs": documents}


with helm.Chart.load(CHART) as chart:
    cases = json.load(sys.stdin)
    answer = {name: rendered(chart, values) for name, values in cases.items()}
answer["lint"] = helm.lint(CHART)
json.dump(answer, sys.stdout)
