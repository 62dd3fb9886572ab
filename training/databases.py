"""PhysioNet's databases that are read here: their records, split into training and test."""

from __future__ import annotations

# De Chazal, O'Dwyer, Reilly: IEEE Trans Biomed Eng 51(7), 2004. No patient is in both
# (but 201 and 202, one in each, are the same person).
DS1 = tuple(
    "101 106 108 109 112 114 115 116 118 119 122 "
    "124 201 203 205 207 208 209 215 220 223 230".split()
)
DS2 = tuple(
    "100 103 105 111 113 117 121 123 200 202 210 "
    "212 213 214 219 221 222 228 231 232 233 234".split()
)
PACED = ("102", "104", "107", "217")  # stand outside both
PACED_TEST = ("104", "217")  # of `PACED`; 102 and 107 may be trained on

# svdb has 78 records; these 59 were at hand when the shipped model was trained.
SVDB = tuple(
    "800 801 802 804 805 806 808 809 810 812 820 821 823 824 825 827 828 829 841 842 "
    "843 845 846 847 849 850 851 853 854 855 857 858 859 861 862 863 865 866 867 869 "
    "870 871 873 874 875 877 878 879 881 882 883 885 886 887 889 890 891 893 894".split()
)
CUDB = tuple(f"cu{i:02d}" for i in range(1, 36))  # ventricular fibrillation; for rhythm only
NOISES = ("bw", "em", "ma")  # baseline wander, electrode motion, muscle
RECORDS = {"mitdb": (*DS1, *DS2, *PACED), "svdb": SVDB, "cudb": CUDB, "nstdb": NOISES}
BEATLESS = ("nstdb",)  # databases without annotation files
