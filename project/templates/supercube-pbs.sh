{# A submission to PBS Professional or OpenPBS. `asked` is a supercube.cluster.Request, made from config.yaml. #}
{% set asked = operations | request(parallel) %}
#!/bin/bash
#PBS -N {{ id }}
#PBS -l select=1:ncpus={{ asked.cores }}:mpiprocs={{ asked.cores }}{{ ":ngpus=%d" | format(asked.gpus) if asked.gpus }}{{ ":mem=%dmb" | format(asked.memory_mb) if asked.memory_mb }}
#PBS -l walltime={{ asked.walltime }}
{% if asked.partition %}
#PBS -q {{ asked.partition | quote_argument }}
{% endif %}
{% if asked.account %}
#PBS -A {{ asked.account | quote_argument }}
{% endif %}
#PBS -j oe
#PBS -o {{ (job_output or project.path ~ "/logs/") | quote_argument }}
{% for line in asked.options %}
#PBS {{ line }}
{% endfor %}
{% include "supercube-body.sh" %}
