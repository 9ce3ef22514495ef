"""Causal discovery: a weighted acyclic graph from a table and what is known before.

A method is a :class:`GraphSearch`. To add one, put it in a file of its own and into the union.
"""

from typing import get_args

from components.discovery.bottom_up_parce import BottomUpParceLingam
from components.discovery.cam_uv import CamUv
from components.discovery.cam_uv_x import CamUvX
from components.discovery.constraint_based import Fci, Pc
from components.discovery.direct_lingam import DirectLingam
from components.discovery.ges import Ges
from components.discovery.ica_lingam import IcaLingam
from components.discovery.lim import Lim
from components.discovery.rcd import RepetitiveDiscovery
from components.discovery.resit import Resit
from components.discovery.search import GraphSearch
from components.discovery.var_lingam import VarLingam

Discovery = (
    DirectLingam
    | RepetitiveDiscovery
    | CamUv
    | CamUvX
    | IcaLingam
    | BottomUpParceLingam
    | Resit
    | VarLingam
    | Lim
    | Pc
    | Fci
    | Ges
)

METHODS: dict[str, type[Discovery]] = {method.kind: method for method in get_args(Discovery)}

__all__ = [
    "METHODS",
    "BottomUpParceLingam",
    "CamUv",
    "CamUvX",
    "DirectLingam",
    "Discovery",
    "Fci",
    "Ges",
    "GraphSearch",
    "IcaLingam",
    "Lim",
    "Pc",
    "RepetitiveDiscovery",
    "Resit",
    "VarLingam",
]
