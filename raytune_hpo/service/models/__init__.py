"""Studies whose trials the service runs itself: scikit-learn models on tables, and installed objectives.

tables, table_reading     uploaded and bundled tables; a CSV file, read in a process of its own, with limits
estimators, scores        the models that may be trained, within bounds that protect the machine, and the scores
objective                 what a study trains, on what, as JSON; the space that follows
training                  one configuration, fold by fold; ``script`` is the same as a program that needs only scikit-learn
installed                 objectives by name: entry points, and the files of a folder that is named when the service starts
measuring, local_workers  processes that run trials, each in a fork of its own, and the workers that feed them
"""
