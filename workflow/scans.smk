# What is added for a folder of scans: what has nothing to do with the scan, once for all, and the page that compares them.

rule shared_toy:
    localrule: True
    message: "Taking the toy benchmark to {wildcards.folder}"
    input: left_by("1_toy_rgb_benchmark", FOLDER)
    output: left_by("1_toy_rgb_benchmark", "{folder}")
    params: files=left_by("1_toy_rgb_benchmark", ".")
    wildcard_constraints: folder="|".join(map(re.escape, SCANS))
    shell: "tar -C {FOLDER} -cf - {params.files} | tar -C {wildcards.folder:q} -xmf -"


shared = [f"logs/{name}-{n}.trained" for name in ahead for n, training in enumerate(ahead[name], 1)
          if not reads(training, ["scan.h5"])]
if shared:
    rule shared_trainings:
        localrule: True
        message: "Taking the trainings on the toy to {wildcards.folder}"
        input: [f"{FOLDER}/{file}" for file in shared]
        output: [f"{{folder}}/{file}" for file in shared]
        wildcard_constraints: folder="|".join(map(re.escape, SCANS))
        shell:
            "mkdir -p {wildcards.folder:q}/checkpoints\n"
            "cat {input} | while read -r name; do"
            " cp -R {FOLDER}/checkpoints/\"$name\"* {wildcards.folder:q}/checkpoints/; done\n"
            "cp {input} {wildcards.folder:q}/logs/\n"


rule page:
    localrule: True
    message: "Comparing the scans in {output}"
    input:
        [f"{folder}/metrics.json" for folder in SCANS],
        depends_on(Path("workflow/compare.py")), "workflow/compare.py", "workflow/compare.html",
    output: PAGE
    shell: "{sys.executable:q} -m workflow.compare {output:q} {settings[data]:q} {FOLDER}"
