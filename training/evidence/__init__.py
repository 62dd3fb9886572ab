"""What the committed model does, record by record, as ANSI/AAMI EC57 and IEC 60601-2-47 ask.

``python -m training.evidence --out DIR`` annotates every recording that has reference marks and
writes ``evidence.json`` and one page, ``evidence.html``. `cases` says which recordings, and which
of them were trained on; `measure` counts in one recording; `runs` compares runs of ectopic beats;
`figures` makes figures of counts, with intervals by bootstrap over patients; `page` draws them.
"""
