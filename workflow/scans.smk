# What is added for a folder of scans: one toy benchmark for all of them, and the page that compares them.

rule shared_toy:
    localrule: True
    message: "Taking the toy benchmark to {wildcards.folder}"
    input: left_by("1_toy_rgb_benchmark", FOLDER)
    output: left_by("1_toy_rgb_benchmark", "{folder}")
    params: files=left_by("1_toy_rgb_benchmark", ".")
    wildcard_constraints: folder="|".join(map(re.escape, SCANS))
    shell: "tar -C {FOLDER} -cf - {params.files} | tar -C {wildcards.folder:q} -xmf -"


rule page:
    localrule: True
    message: "Comparing the scans in {output}"
    input:
        [f"{folder}/metrics.json" for folder in SCANS],
        depends_on(Path("workflow/compare.py")), "workflow/compare.py", "workflow/compare.html",
    output: PAGE
    shell: "{sys.executable:q} -m workflow.compare {output:q} {settings[data]:q} {FOLDER}"
