"""The torch side: networks with exits, data sets, training, and prediction.

Import from the modules (`codesign.nn.exits`, `codesign.nn.data`, ...): this package imports nothing by itself, so that
reading data needs no torch.
"""
