import json
import subprocess
import sys
from types import ModuleType

import nnlab.data


def test_importing_pulls_in_numpy_and_the_standard_library_only() -> None:
    code = "import json, sys, nnlab.data, nnlab.data.registry; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
    tops = {name.split(".")[0] for name in json.loads(output)}
    heavy = {"sklearn", "scipy", "pooch", "requests", "tqdm", "platformdirs", "pandas", "mlflow", "hydra", "matplotlib"}
    assert not tops & heavy


def test_reading_the_cache_does_not_import_scikit_learn() -> None:
    nnlab.data.wine()
    nnlab.data.moons()
    nnlab.data.digits()
    code = "import sys, nnlab.data as d; d.wine(); d.moons(); d.digits(); sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_all_is_exact() -> None:
    public = {name for name, value in vars(nnlab.data).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert public == set(nnlab.data.__all__)
    assert nnlab.data.__all__ == sorted(nnlab.data.__all__)
