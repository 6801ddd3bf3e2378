"""The report of a run: one self-contained HTML page with every figure and its source.

page = page_of(records)        # records: what the steps left in the run folder
html = render(page)
"""

from codesign.report.page import Page, page_of, render
from codesign.report.records import Design, Frames, Network, Records

__all__ = ["Design", "Frames", "Network", "Page", "Records", "page_of", "render"]
