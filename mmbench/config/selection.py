"""The methods of a run: their declarations, as the configuration restricts them, and which of them are scored."""

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

    Attributes:
        files: the methods of each experiment by name, as their files declare them.

    Raises:
        UserError: a declaration is wrong, or the configuration names a method that does not exist.
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
        """Check that the configured and the tuned settings of a method are settings of its class."""
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
        """The declarations of a method, or of a variant's method, restricted to its own `modalities`, if it has any."""
        key = (experiment, name)
        if key not in self._methods:
            method, learns = self.files[experiment][method_of(name)], self.config.section(experiment, name).modalities
            root = self.config.root
            self._methods[key] = of_modalities(method, learns, root, experiment) if learns else method
        return self._methods[key]

    def variants(self, experiment: str) -> list[str]:
        """Every variant in an experiment's configuration."""
        return sorted(self.config.experiments[experiment].every_variant())

    def external(self) -> list[MethodFile]:
        """Every method whose predictions come from a rule of its own."""
        return [method for methods in self.files.values() for method in methods.values() if method.external]

    def asked(self) -> set[str]:
        """Names of the methods and variants that this workflow trains and evaluates itself."""
        names = {name for methods in self.files.values() for name, method in methods.items() if not method.external}
        return names.union(*(self.variants(experiment) for experiment in self.files))

    def every_name(self) -> set[str]:
        """Names of all methods and variants, including external ones."""
        return self.asked() | {method.name for method in self.external()}

    def lacking(self, experiment: str, name: str) -> list[str]:
        """The modalities that a method needs, and that the experiment does not use on these data."""
        used = self.config.modalities(experiment)
        return [modality for modality in self(experiment, name).needs if modality not in used] if used else []

    def scored(self, experiment: str, more: Collection[str] = ()) -> list[str]:
        """The methods in an experiment's tables: those that the profile selects, its variants, and `more` of both."""
        possible = [name for name in self.files[experiment] if not self.lacking(experiment, name)]
        methods = {*self.config.chosen(experiment, possible), *more}
        variants = {*self.config.profile.variants, *more}.intersection(self.variants(experiment))
        return [name for name in possible if name in methods] + sorted(
            name for name in variants if not self.lacking(experiment, name)
        )

    def source(self, experiment: str, name: str) -> str:
        """The method whose weights a method uses: itself, or the one that it declares.

        A variant uses the variant of the same tag of the declared method. A variant that differs only in sampling uses
        the weights of its method.
        """
        lender = self(experiment, name).weights_from
        variant = f"{lender}@{tag_of(name)}"
        trained = variant if variant in self.variants(experiment) else lender or name
        return method_of(trained) if self.config.section(experiment, trained).only_samples else trained

    def trained(self, experiment: str, name: str) -> bool:
        """Whether the weights that a method uses are trained in this workflow."""
        return not self(experiment, name).external and self(experiment, self.source(experiment, name)).trained

    def chooses(self, experiment: str, name: str) -> bool:
        """Whether a method has anything to choose on the validation split: its own settings, or its sampling."""
        key = (experiment, name)
        if key not in self._chooses:
            settings = self.config.settings("tune", experiment, name, self.source(experiment, name))
            self._chooses[key] = chooses(self(experiment, name), settings, self.config.profile.data.validation)
        return self._chooses[key]
