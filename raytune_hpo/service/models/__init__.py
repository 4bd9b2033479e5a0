"""Studies that the service measures by itself: models of scikit-learn on tables, and objectives that are installed.

tables, table_reading     uploaded and bundled tables; a CSV file, read in a process of its own, with limits
estimators, scores        what may be trained, within bounds that cannot take a machine down, and by what it is judged
objective                 what a study trains, on what, as JSON; the space that follows
training                  one configuration, fold by fold; ``script`` is the same as a program that needs only scikit-learn
installed                 objectives by name: entry points, and the files of a folder that whoever starts the service names
measuring, local_workers  processes that run trials, each in a fork of its own, and the workers that feed them
"""
