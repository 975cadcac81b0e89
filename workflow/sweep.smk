# The cells of a sweep, each a job of its own; `make sweep` collects what they leave (workflow/sweep.py).

def of_run(wildcards):
    """The results of the run itself for its own seed, which need not be trained again."""
    return f"{FOLDER}/results" if wildcards.cell == "headline" and int(wildcards.seed) == settings["seed"] else ""


rule sweep:
    localrule: True
    message: f"Every cell of {SWEEP} is up to date"
    input: [f"{SWEEP}/{cell}/seed{seed}/metrics.json" for cell, seed in jobs]


rule cell:
    message: "Running {wildcards.cell}, seed {wildcards.seed}"
    input:
        lambda wildcards: [] if wildcards.cell in compared else f"{FOLDER}/results/scan.h5",
        lambda wildcards: [f"{of_run(wildcards)}/{name}.json" for name in list(NOTEBOOKS)[1:4] if of_run(wildcards)],
        depends_on(Path("workflow/cell.py")), "workflow/cell.py",
    output: f"{SWEEP}/{{cell}}/seed{{seed}}/metrics.json"
    params:
        scan=lambda wildcards: compared.get(wildcards.cell, f"{FOLDER}/results/scan.h5"),
        folder=f"{SWEEP}/{{cell}}/seed{{seed}}",
        results=lambda wildcards: f"--results {of_run(wildcards)}" if of_run(wildcards) else "",
        made_from=lambda wildcards: [state(compared.get(wildcards.cell, "")), BACKEND],
    log: f"{SWEEP}/{{cell}}/seed{{seed}}/log.txt"
    wildcard_constraints: seed=r"\d+"
    resources: mem_mb=memory_mb, runtime=MINUTES[settings["profile"]]
    shell:
        HOLD +
        "{sys.executable:q} -m workflow.cell {wildcards.cell:q} --profile {settings[profile]} --seed {wildcards.seed}"
        " --scan {params.scan:q} --folder {params.folder:q} {params.results} > {log:q} 2>&1"
