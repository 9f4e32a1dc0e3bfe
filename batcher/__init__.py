"""Watch the Events of many Kubernetes clusters, count them exactly, sum them up in kcp workspaces.

Data moves one way: ``watch`` reads API servers into the ``spool`` (raw lines, fsynced); ``batch`` turns a
range of it into rows and changes of state by the pure ``pipeline`` of ``stages`` and commits; ``archive``
registers the committed files in Delta tables and ``publish`` writes the summaries into workspaces. The
outcome of a publish is the one thing that flows back, as an input of the next batch's plan.

    cli        one file a command                    decode     raw lines -> typed columns, or why not
    sandbox    simulated API servers, the demo       mapping    namespace -> workspace
    service    wiring, schedule, shutdown            connect    kubeconfig -> an authenticated HTTP session
    batch      plan, run, stage, commit, recover     schema     the tables, and what counts as "the same"
    watch      observe > list_then_watch > stream    settings   the configuration
    publish    writes summary Events to kcp          telemetry  names of verdicts, reasons, metrics
    archive    deliver, read                         clock      the only reader of the clock
    pipeline   the order of the stages               errors     what the caller should do
    stages     one verb a file; pure                 check      access, mapping, clocks, before a start
    spool      frames and segments                   bundle     what to send with a bug report
    lease      which of several processes runs
"""

__version__ = "0.1.0"
