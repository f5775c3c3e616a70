"""The report: reads result files and writes one self-contained page, tables and figures. Only images load torch.

`tables` compares and tabulates, `draw` has figures and images, `parts` has the parts of a page, and each experiment's
module `section` builds its section with a template.
"""
