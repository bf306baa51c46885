"""A study: one profile and seed, and every stage of it by the name the paper gives it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from attm_companion.arrays import Array
from attm_companion.study import chain, conditions, roles
from attm_companion.study.conditions import InferenceProtocol
from attm_companion.study.features import FeaturesStage, ShardedFeaturesStage
from attm_companion.study.profile import Generation, MiniCast, Profile, load_profile
from attm_companion.study.result_files import provenance
from attm_companion.study.results import Result
from attm_core.configuration import CRPOConfig, ExpertIterationConfig
from attm_core.constants import SUBMITTED_FORWARD, HeadName


class Study:
    """All stages of a profile.

    Args:
        profile: name of a profile, or a profile.
        seed: of all that the paper trains; the profile's own if None. Frozen parts keep that.
        changes: what differs from a profile of ours, by place; see `open_study`.
        own_samples: guidance and steps that Stages 2 and 3 sample with; the profile's if None.
    """

    def __init__(
        self,
        profile: str | Profile,
        seed: int | None = None,
        changes: Mapping[str, Any] | None = None,
        own_samples: Generation | None = None,
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.training_seed = self.profile.seed if seed is None else seed
        self.frozen_seed = self.profile.seed
        self.changes = dict(changes or {})
        self.own_samples = own_samples or self.profile.generation

    def __repr__(self) -> str:
        return f"Study({self.profile.name!r}, seed={self.training_seed})"

    def _repr_markdown_(self) -> str:
        """For a notebook: which study this is, and what differs from its profile."""
        name = self.profile.name.partition("+")[0]
        if not self.changes:
            return f"Profile `{name}`, training seed {self.training_seed}."
        listed = ", ".join(f"`{place} = {value}`" for place, value in self.changes.items())
        said = f"**This study differs from profile `{name}`: {listed}.**"
        if set(self.changes) - {"seed"}:
            said += " It is not the system that was submitted: the paper's values are left out."
        return f"{said} Results: `results/{self.profile.name}/`."

    @property
    def seed(self) -> int:
        """Generation seed of Sub. 1."""
        return self.profile.generation.seeds[0]

    @cached_property
    def frozen(self) -> roles.Frozen:
        """Corpus, encoders, codec, separator."""
        return roles.frozen_of(self.profile.cast, self.frozen_seed)

    @cached_property
    def ranker(self) -> roles.RankerRole:
        """The ranker that reports Reward."""
        return roles.evaluation_ranker(self.profile.cast, self.frozen, self.frozen_seed)

    @cached_property
    def training_ranker(self) -> roles.RankerRole:
        """The ranker that scores the training clips and selects experts."""
        return roles.training_ranker(self.profile.cast, self.frozen, self.frozen_seed)

    @cached_property
    def features(self) -> chain.Features:
        """Latents, text features and reward columns."""
        cast = self.profile.cast
        ranker, launch = self.training_ranker, self.profile.resources.data
        shared = {"frozen": self.frozen, "ranker": ranker, "launch": launch}
        if isinstance(cast, MiniCast):
            return FeaturesStage.model_validate({**shared, "bleed_db": cast.bleed_db})
        return ShardedFeaturesStage.model_validate({**shared, "shard_size": cast.shard_size})

    def sft(
        self,
        head: HeadName,
        reward: chain.RewardColumn = "instrumental_reward_score",
        bandwidth: float | None = None,
    ) -> chain.SFTStage:
        """Stage 1 with a score head."""
        backbone = self.profile.backbone
        if bandwidth is not None:
            backbone = replace(backbone, score_bandwidth=bandwidth)
        return chain.SFTStage(
            features=self.features,
            backbone=backbone,
            head=head,
            reward=reward,
            training=self.profile.sft,
            seed=self.training_seed,
            launch=self.profile.resources.training,
        )

    def baseline(self) -> chain.SFTStage:
        """Stage 1 without a score head: FluxAudio as the challenge provides it."""
        return self.sft("none")

    def expert(
        self, head: HeadName, config: ExpertIterationConfig | None = None
    ) -> chain.ExpertStage:
        """Stage 2 on the chain of a head, or another arm of it, such as a control at random."""
        return chain.ExpertStage(
            start=self.sft(head),
            config=config or self.profile.expert,
            generation=self.own_samples,
            seed=self.training_seed,
            launch=self.profile.resources.training,
        )

    def crpo(
        self,
        head: HeadName = "global_adaln",
        start: chain.ExpertStage | None = None,
        config: CRPOConfig | None = None,
    ) -> chain.CrpoStage:
        """Stage 3 in the v2 forward on the chain of a head; by default the submitted hybrid."""
        return chain.CrpoStage(
            start=start or self.expert(head),
            forward=SUBMITTED_FORWARD,
            config=config or self.profile.crpo,
            generation=self.own_samples,
            seed=self.training_seed,
            launch=self.profile.resources.training,
        )

    @cached_property
    def evaluation(self) -> InferenceProtocol:
        """Tables II and III, Fig. 2: prompts and reference of unseen pieces, post-processing."""
        return self._protocol(split="prompts", reference="reference")

    @cached_property
    def validation(self) -> InferenceProtocol:
        """Table I: validation captions and clips, no post-processing."""
        # PAPER-SILENT: whether Table I's prompts carry the prefix; they are read as plain captions.
        plain = self._protocol(split="valid", reference="valid")
        return plain.changed(prefix="", n_passes=0, target_lufs=None)

    def _protocol(self, **fields: Any) -> InferenceProtocol:
        generation = self.profile.generation
        return InferenceProtocol(
            seed=self.seed,
            config=generation.config(generation.s),
            n_listening=generation.n_listening,
            n_prompts=generation.n_prompts,
            **fields,
        )

    def condition(
        self,
        weights: chain.Weights,
        protocol: InferenceProtocol,
        s: float | None,
        forward: HeadName | None = None,
    ) -> conditions.ConditionStage:
        """A model at one score under one protocol, in its own forward or another."""
        own = chain.first_stage(weights).head
        if isinstance(weights, chain.CrpoStage):
            own = weights.forward
        return conditions.ConditionStage(
            weights=weights,
            forward=forward or own,
            protocol=protocol.changed(s=s),
            evaluator=self.evaluator,
            launch=self.profile.resources.generation,
        )

    @cached_property
    def evaluator(self) -> conditions.Evaluator:
        """What scores waves."""
        frozen = roles.with_concept_judge(self.frozen)
        return conditions.Evaluator(frozen=frozen, ranker=self.ranker)

    def anchors(self, protocol: InferenceProtocol | None = None) -> conditions.AnchorStage:
        """Floor and ceiling under a protocol; they also embed its reference."""
        return conditions.AnchorStage(
            evaluator=self.evaluator,
            features=self.features,
            protocol=protocol or self.evaluation,
            launch=self.profile.resources.generation,
        )

    def reference(self, protocol: InferenceProtocol) -> Array:
        """Embeddings (m, P) of the reference of a protocol."""
        return self._home(protocol).embedded("reference")

    def prompt_embeddings(self, protocol: InferenceProtocol) -> Array:
        """Embeddings (n, P) of the prompts of a protocol."""
        return self._home(protocol).embedded("text")

    def _home(self, protocol: InferenceProtocol) -> conditions.AnchorStage:
        """The anchor stage of the protocol that ``protocol`` is a variant of."""
        home = self.validation if protocol.reference == "valid" else self.evaluation
        return self.anchors(home)

    def result(self, experiment: str) -> Result:
        """An empty result with the provenance of this study."""
        data = hashlib.sha256(self.frozen.corpus.data_hash().encode()).hexdigest()[:16]
        facts = provenance(self.crpo().uid, data)
        if self.changes:
            facts["changed"] = self.changes
        name = self.profile.name
        return Result(experiment, name, provenance=facts, training_seed=self.training_seed)
