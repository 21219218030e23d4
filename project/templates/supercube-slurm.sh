{# A submission to SLURM. `asked` is a supercube.cluster.Request, made from config.yaml. #}
{% set asked = operations | request(parallel) %}
#!/bin/bash
#SBATCH --job-name="{{ id }}"
#SBATCH --nodes=1
#SBATCH --ntasks={{ asked.cores }}
#SBATCH --time={{ asked.walltime }}
{% if asked.gpus %}
#SBATCH --gres=gpu:{{ asked.gpus }}
{% endif %}
{% if asked.memory_mb %}
#SBATCH --mem={{ asked.memory_mb }}M
{% endif %}
{% if asked.partition %}
#SBATCH --partition={{ asked.partition }}
{% endif %}
{% if asked.account %}
#SBATCH --account={{ asked.account }}
{% endif %}
{% if asked.margin %}
# A warning to this shell before the limit, in case the simulations do not see it coming.
#SBATCH --signal=B:USR1@{{ asked.warning }}
{% endif %}
#SBATCH --output="{{ job_output or (project.path | replace("%", "%%")) ~ "/logs/%j.out" }}"
{% for line in asked.options %}
#SBATCH {{ line }}
{% endfor %}
{% include "supercube-body.sh" %}
