"""The methods of a run: their declarations, without what the configuration excludes, and which are scored."""

from __future__ import annotations

from collections.abc import Collection

from mmbench.config.check import settings_for, unknown
from mmbench.config.choice import chooses
from mmbench.config.configuration import Config
from mmbench.config.discovery import MethodFile, find_methods, of_modalities
from mmbench.config.methods import method_of, tag_of
from mmbench.config.signatures import method_signature


class Methods:
    """The methods and variants of a run's experiments.

    Args:
        config: the run's configuration.

    Attributes:
        files: the methods of each experiment by name, as their files declare them.

    Raises:
        UserError: a file declares something wrong, or the configuration names a method that does not exist.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.files = find_methods(config.root, config.experiments)
        config.check_methods(self.files)
        self._methods: dict[tuple[str, str], MethodFile] = {}
        self._chooses: dict[tuple[str, str], bool] = {}
        for experiment in config.experiments:
            for name in [*self.files[experiment], *self.variants(experiment)]:
                self._check_settings(experiment, name)

    def _check_settings(self, experiment: str, name: str) -> None:
        """Check that the configured settings of a method, and those that it chooses, are settings of its class."""
        method = self(experiment, name)
        if method.external:
            return
        signature = method_signature(self.config.root / method.path, self.config.root)
        settings = self.config.settings("predict", experiment, name, self.source(experiment, name))["method_settings"]
        settings_for(signature, settings, f"config/experiments/{experiment}.yaml: {name}")
        for setting in method.tune:
            if signature.complete and setting not in signature.types:
                raise unknown(f"{method.path}: TUNE", setting, sorted(signature.types))

    def __call__(self, experiment: str, name: str) -> MethodFile:
        """What a method, or the method that a variant is of, declares, less what its own `modalities` leave out."""
        key = (experiment, name)
        if key not in self._methods:
            method, learns = self.files[experiment][method_of(name)], self.config.section(experiment, name).modalities
            root = self.config.root
            self._methods[key] = of_modalities(method, learns, root, experiment) if learns else method
        return self._methods[key]

    def variants(self, experiment: str) -> list[str]:
        """Every variant that an experiment's configuration describes."""
        return sorted(self.config.experiments[experiment].every_variant())

    def external(self) -> list[MethodFile]:
        """Every method whose answers a rule of its own hands in."""
        return [method for methods in self.files.values() for method in methods.values() if method.external]

    def asked(self) -> set[str]:
        """Names of the methods and variants that this workflow trains and asks itself."""
        names = {name for methods in self.files.values() for name, method in methods.items() if not method.external}
        return names.union(*(self.variants(experiment) for experiment in self.files))

    def every_name(self) -> set[str]:
        """Names of all methods and variants, wherever their answers come from."""
        return self.asked() | {method.name for method in self.external()}

    def lacking(self, experiment: str, name: str) -> list[str]:
        """The modalities that a method of some of them needs, and that the experiment does not use on these data."""
        used = self.config.modalities(experiment)
        return [modality for modality in self(experiment, name).needs if modality not in used] if used else []

    def scored(self, experiment: str, more: Collection[str] = ()) -> list[str]:
        """Methods in an experiment's tables: all, or those the profile names, its variants, and `more` of both."""
        possible = [name for name in self.files[experiment] if not self.lacking(experiment, name)]
        methods = {*self.config.chosen(experiment, possible), *more}
        variants = {*self.config.profile.variants, *more}.intersection(self.variants(experiment))
        return [name for name in possible if name in methods] + sorted(
            name for name in variants if not self.lacking(experiment, name)
        )

    def source(self, experiment: str, name: str) -> str:
        """The method whose weights it uses: itself, or the one it declares (a variant's: that one's of the same tag).

        A variant that only draws otherwise uses its method's.
        """
        lender = self(experiment, name).weights_from
        variant = f"{lender}@{tag_of(name)}"
        trained = variant if variant in self.variants(experiment) else lender or name
        return method_of(trained) if self.config.section(experiment, trained).only_samples else trained

    def trained(self, experiment: str, name: str) -> bool:
        """Whether the weights that a method uses are learnt here step by step."""
        return not self(experiment, name).external and self(experiment, self.source(experiment, name)).trained

    def chooses(self, experiment: str, name: str) -> bool:
        """Whether a method has anything to choose on the validation split: settings of its own, or how it draws."""
        key = (experiment, name)
        if key not in self._chooses:
            settings = self.config.settings("tune", experiment, name, self.source(experiment, name))
            self._chooses[key] = chooses(self(experiment, name), settings, self.config.profile.data.validation)
        return self._chooses[key]
